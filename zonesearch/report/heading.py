"""The head of a report: the verdict in words, the recommendation, and code that trains it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from zonesearch.core.values import Value, told_apart
from zonesearch.core.wording import cost_text, point_text
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.finalists import finalist_name
from zonesearch.report.summaries.state import state_sentence
from zonesearch.report.templating import rendered
from zonesearch.statistics.search_results import SearchResults
from zonesearch.statistics.verdict import Standing, Verdict

__all__ = ["heading", "state_sentence", "training_lines"]


class _Setting(NamedTuple):
    """A setting shown in the head: named facts about it, and why it is recommended."""

    title: str
    name: str
    facts: list[tuple[str, str]]
    why: str


class _ZoneLine(NamedTuple):
    number: int
    text: str


def heading(summary: MapSummary) -> Markup:
    """The head as HTML."""
    results = summary.results
    limit = results.map.limit.sentence if results.map is not None and results.zones else ""
    values: dict[str, Any] = {"recommended": [], "lines": "", "whence": ""}
    if results.verdict and results.verdict.standings:
        assert results.verdict.cheapest is not None
        values = {
            "recommended": _recommended(results, results.verdict),
            "lines": training_lines(results, results.verdict.cheapest),
            "whence": _whence(results),
        }
    return rendered(
        "report_head.html",
        name=results.name,
        sentence=results.verdict.sentence if results.verdict else state_sentence(results),
        zones=_zones(results),
        limit=limit,
        notes=[note for note in results.notes if note != limit],
        **values,
    )


def training_lines(results: SearchResults, standing: Standing) -> str:
    """The command that trains the recommended setting and saves it to a file, and Python code that uses it; for an
    objective function, the call with the setting and its first fresh seed.
    """
    if not results.study_text or not any("stacked" in trial.provenance for trial in results.trials):
        params = json.dumps(dict(standing.finalist.params), ensure_ascii=False)
        params = params.replace(": true", ": True").replace(": false", ": False").replace(": null", ": None")
        seed = next(iter(standing.accuracies), 0)
        value = results.metric.name if results.metric.name.isidentifier() else "value"
        return f"{value} = objective({params}, seed={seed}, epochs={results.epochs})"
    name = results.name.replace('"', "")
    own = f' --study "{name}.toml"' if re.search(r"""["'][\w.]+:[\w.]+["']""", results.study_text) else ""
    return (
        f'# in a terminal:  zonesearch train "runs/{name}"{own} --out "{name}.pt"\n'
        "import zonesearch\n\n"
        f'network = zonesearch.load_network("{name}.pt"{", factory=..." if own else ""})\n'
        "labels = network.predict(inputs)"
    )


def _whence(results: SearchResults) -> str:
    if results.study_text:
        name = results.name.replace('"', "")
        return f"runs/{name} is the run folder, {name}.toml the study file; this page holds it at its end."
    return "objective is the function or recipe that was searched."


def _recommended(results: SearchResults, verdict: Verdict) -> list[_Setting]:
    """The best finalist, and the cheapest that cannot be told apart from it if that is a different one."""
    best, cheapest = verdict.best, verdict.cheapest
    assert best is not None
    assert cheapest is not None
    if cheapest is best:
        return [
            _setting(results, verdict, best, "Recommended", "the best, and no finalist comparable to it is cheaper")
        ]
    factor, unit = verdict.cheaper_by
    times = {"parameters": "times fewer parameters", "multiply-adds": "times fewer multiply-adds"}
    said = f"{factor:.2g} {times.get(unit, 'times cheaper')} than the best" if unit else ""
    highest = f"{'highest' if results.metric.maximized else 'lowest'} mean over fresh seeds"
    return [
        _setting(results, verdict, cheapest, "Recommended: cheapest that cannot be told apart", said),
        _setting(results, verdict, best, "Best", highest),
    ]


def _setting(results: SearchResults, verdict: Verdict, chosen: Standing, title: str, why: str) -> _Setting:
    metric = results.metric
    n = len(chosen.accuracies)
    facts = [
        (
            f"{verdict.measured_on} {metric.name}",
            f"{metric.text(chosen.mean, chosen.half_width)} ({n} fresh seed{'s' if n != 1 else ''})",
        )
    ]
    if chosen.test_interval:
        low, high = map(metric.text, chosen.test_interval)
        facts.append(("finite test set", f"{low} to {high} ({verdict.level:.0%})"))
    if chosen is not verdict.best and math.isfinite(chosen.behind_at_most):
        shares = metric.shares(standing.mean for standing in verdict.alike)
        behind = metric.gap_text(chosen.behind, "", shares)
        most = metric.gap_text(chosen.behind_at_most, "", shares)
        facts.append(("behind the best", f"{behind}, at most {most.split()[0]} ({verdict.level:.0%})"))
    looked, real = metric.text(chosen.finalist.selected), metric.text(chosen.fresh_validation)
    facts.append(("when it was chosen", f"{looked}; {real} on fresh seeds (validation)"))
    cost = cost_text(chosen.n_parameters)
    seconds = f"{chosen.seconds:.2g} s per training" if chosen.seconds >= 0.01 else ""
    facts += [("cost", ", ".join(filter(None, (cost, seconds))))] if cost or seconds else []
    return _Setting(title, finalist_name(results, chosen), facts, why)


def _zones(results: SearchResults) -> list[_ZoneLine]:
    """One line per zone: the extent of its cells, its peak with its standard error, and the number of cells."""
    metric = results.metric
    n_cells = sum(1 for cell in results.map.cells if cell.values) if results.map is not None else 0
    lines = []
    for zone in results.zones:
        reach = ", ".join(_reach(name, [cell[name] for cell in zone.cells if name in cell]) for name in zone.peak)
        share = f" ({len(zone.cells) / n_cells:.0%} of the map)" if n_cells else ""
        n = len(zone.cells)
        said = f"{reach}: peak {point_text(zone.peak)} with {metric.text(zone.value, zone.se)}"
        lines.append(_ZoneLine(zone.number, f"{said}, {n} cell{'s' if n != 1 else ''}{share}"))
    return lines


def _reach(name: str, values: Sequence[Value]) -> str:
    """``width 128 to 1024`` for numbers, ``kind a or b`` for choices."""
    different = list({told_apart(value): value for value in values}.values())
    numbers = [value for value in different if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(different):
        low, high = min(numbers), max(numbers)
        return f"{name} {low:.4g}" if low == high else f"{name} {low:.4g} to {high:.4g}"
    return f"{name} {' or '.join(map(str, different))}"
