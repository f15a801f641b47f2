"""A sentence on a search without a verdict: its progress, or what was imported."""

from __future__ import annotations

from zonesearch.core.metric import ACCURACY
from zonesearch.core.wording import point_text
from zonesearch.report.summaries.costs import stages_table
from zonesearch.statistics.scattered import cells_of_trials
from zonesearch.statistics.search_results import SearchResults

__all__ = ["state_sentence"]


def state_sentence(results: SearchResults) -> str:
    """The progress of a search without a verdict, and what is missing."""
    n = len(results.trials)
    n_complete = sum(trial.complete for trial in results.trials)
    if not n:
        return "Nothing has been trained yet."
    came = f"{n:,} training{'s' if n != 1 else ''} finished"
    if not n_complete:
        return f"No verdict: {came}, and none of them was complete."
    waiting = next((record for record in results.stages if not record.finished), None)
    if waiting is None and any(record.settings.get("kind") == "imported" for record in results.stages):
        return _imported_sentence(results)
    if waiting is None:
        return f"{came}; this search ends without a verdict."
    metric = results.metric
    best = metric.best(trial.value(results.reading) for trial in results.trials if trial.complete)
    called = "" if metric.name == ACCURACY.name else f"{metric.name} "
    if waiting.notes:  # trainings are still wanted, but the budget is spent
        return (
            f"No verdict: {came}, and the budget is spent before stage {waiting.name} has what it wants; give a larger "
            f"budget or another folder. Best so far: {called}{metric.text(best)}."
        )
    missing = int(stages_table(results).set_index("stage")["missing"].get(waiting.name, 0))
    lacks = f"stage {waiting.name} still wants {missing:,}" if missing else f"stage {waiting.name} comes next"
    return f"No verdict yet: {came}, {lacks}. Best so far: {called}{metric.text(best)}."


def _imported_sentence(results: SearchResults) -> str:
    """The best imported point, and the limits of that information."""
    metric, n = results.metric, len(results.trials)
    n_complete = sum(trial.complete for trial in results.trials)
    cells = [cell for cell in cells_of_trials(results.trials, results.reading) if cell.values]
    best = max(cells, key=lambda cell: cell.score)
    where = point_text({name: best.params[name] for name in results.space.names if name in best.params})
    repeats = len(best.values)
    over = f", the mean of {repeats} seeds," if repeats > 1 else ""
    repeated = any(len(cell.values) > 1 for cell in cells)
    lacks = "no fresh seeds judge what was picked by these" if repeated else "nothing was repeated to judge it"
    n_zones = len(results.zones)
    zones = f" {n_zones} zone{'s' if n_zones != 1 else ''} in it." if n_zones else " No zone shows yet."
    return (
        f"Imported: {n:,} trainings, {n_complete:,} of them complete. The best has {metric.text(best.mean)}{over} at "
        f"{where}; {lacks}, so there is no verdict.{zones}"
    )
