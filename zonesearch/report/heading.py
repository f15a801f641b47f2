"""The head of a report: the verdict in plain words, the recommendation, and the lines that train it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape

from zonesearch.core.metric import ACCURACY
from zonesearch.core.values import Value, told_apart
from zonesearch.core.wording import cost_text, point_text
from zonesearch.report.summaries.costs import stages_table
from zonesearch.report.summaries.finalists import finalist_name
from zonesearch.report.survey import Survey
from zonesearch.statistics.findings import Findings
from zonesearch.statistics.verdict import Standing, Verdict

__all__ = ["heading", "state_sentence", "training_lines"]


def heading(survey: Survey) -> str:
    """The head as HTML."""
    findings = survey.findings
    sentence = findings.verdict.sentence if findings.verdict else state_sentence(findings)
    said = findings.map.limit.sentence if findings.map is not None and findings.zones else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in findings.notes if note != said)
    card = ""
    if findings.verdict and findings.verdict.standings:
        card = _recommendation(findings, findings.verdict)
    elif findings.zones:
        card = f"<div class=card><div><h2>Where the zones are</h2>{_where(findings)}</div></div>"
    return (
        f"<h1>Report of the study <b>{escape(findings.name)}</b></h1>"
        f"<p class=verdict>{escape(sentence)}</p>{card}" + (f"<ul class=notes>{notes}</ul>" if notes else "")
    )


def state_sentence(findings: Findings) -> str:
    """How far a search without a verdict has come, and what it lacks."""
    n = len(findings.trials)
    n_complete = sum(trial.complete for trial in findings.trials)
    if not n:
        return "Nothing has been trained yet."
    came = f"{n:,} training{'s' if n != 1 else ''} came back"
    if not n_complete:
        return f"No verdict: {came}, and none of them was complete."
    waiting = next((record for record in findings.stages if not record.finished), None)
    if waiting is None and any(record.settings.get("kind") == "imported" for record in findings.stages):
        return _imported_sentence(findings)
    if waiting is None:
        return f"{came}; this search ends without a verdict."
    missing = int(stages_table(findings).set_index("stage")["missing"].get(waiting.name, 0))
    lacks = f"stage {waiting.name} still wants {missing:,}" if missing else f"stage {waiting.name} comes next"
    metric = findings.metric
    best = metric.best(trial.value(findings.reading) for trial in findings.trials if trial.complete)
    called = "" if metric.name == ACCURACY.name else f"{metric.name} "
    return f"No verdict yet: {came}, {lacks}. Best so far: {called}{metric.text(best)}."


def _imported_sentence(findings: Findings) -> str:
    """The best of what somebody else trained, and what is not said about it."""
    metric, n = findings.metric, len(findings.trials)
    complete = [trial for trial in findings.trials if trial.complete]
    best = metric.best(trial.value(findings.reading) for trial in complete)
    leader = next(trial for trial in complete if trial.value(findings.reading) == best)
    names = [name for name in findings.space.names if name in leader.params]
    where = point_text({name: leader.params[name] for name in names})
    n_zones = len(findings.zones)
    zones = f" {n_zones} zone{'s' if n_zones != 1 else ''} in it." if n_zones else " No zone shows yet."
    return (
        f"Imported: {n:,} trainings, {len(complete):,} of them complete. The best has {metric.text(best)} at {where}; "
        f"nothing was repeated to judge it, so there is no verdict.{zones}"
    )


def training_lines(findings: Findings, standing: Standing) -> str:
    """The command that trains the recommended setting into a file, and Python lines that use it; of a function, the
    call with the setting, on its first fresh seed.
    """
    if not findings.study_text or not any("stacked" in trial.provenance for trial in findings.trials):
        params = json.dumps(dict(standing.finalist.params), ensure_ascii=False)
        params = params.replace(": true", ": True").replace(": false", ": False").replace(": null", ": None")
        seed = next(iter(standing.accuracies), 0)
        value = findings.metric.name if findings.metric.name.isidentifier() else "value"
        return f"{value} = objective({params}, seed={seed}, epochs={findings.epochs})"
    name = findings.name.replace('"', "")
    own = f' --study "{name}.toml"' if re.search(r"""["'][\w.]+:[\w.]+["']""", findings.study_text) else ""
    return (
        f'# in a terminal:  zonesearch train "runs/{name}"{own} --out "{name}.pt"\n'
        "import zonesearch\n\n"
        f'network = zonesearch.load_network("{name}.pt"{", factory=..." if own else ""})\n'
        "labels = network.predict(inputs)"
    )


def _file_name(findings: Findings) -> str:
    return f"{findings.name}.toml".replace('"', "")


def _recommendation(findings: Findings, verdict: Verdict) -> str:
    """The best finalist, the cheapest that cannot be told apart from it, where the zones are, and how to train."""
    best, cheapest = verdict.best, verdict.cheapest
    assert best is not None
    assert cheapest is not None
    blocks = []
    if cheapest is best:
        blocks.append(_block(findings, verdict, best, "Recommended", "the best, and none of those like it is cheaper"))
    else:
        factor, unit = verdict.cheaper_by
        times = {"parameters": "times fewer parameters", "multiply-adds": "times fewer multiply-adds"}
        said = f"{factor:.2g} {times.get(unit, 'times cheaper')} than the best" if unit else ""
        blocks.append(_block(findings, verdict, cheapest, "Recommended: cheapest that cannot be told apart", said))
        blocks.append(_block(findings, verdict, best, "Best", "highest mean over fresh seeds"
                             if findings.metric.maximized else "lowest mean over fresh seeds"))  # fmt: skip
    if findings.zones:
        blocks.append(f"<div><h2>Where the zones are</h2>{_where(findings)}</div>")
    whence = (
        f"runs/{escape(findings.name)} is the run folder, {escape(_file_name(findings))} the study file; this page "
        "holds it at its end."
        if findings.study_text
        else "objective is the function or recipe that was searched."
    )
    lines = escape(training_lines(findings, cheapest))
    blocks.append(f"<div class=code><h2>To train it</h2><pre>{lines}</pre><p class=whence>{whence}</p></div>")
    return f"<div class='card first'>{''.join(blocks)}</div>"


def _block(findings: Findings, verdict: Verdict, chosen: Standing, title: str, why: str) -> str:
    metric = findings.metric
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
    looked, real = metric.text(chosen.finalist.selected), metric.text(chosen.fresh_validation)
    facts.append(("when it was chosen", f"{looked}; {real} on fresh seeds (validation)"))
    cost = cost_text(chosen.n_parameters)
    seconds = f"{chosen.seconds:.2g} s a training" if chosen.seconds >= 0.01 else ""
    facts += [("cost", ", ".join(filter(None, (cost, seconds))))] if cost or seconds else []
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    said = f"<p class=whence>{escape(why)}</p>" if why else ""
    return (
        f"<div><h2>{escape(title)}</h2><p class=point>{escape(finalist_name(findings, chosen))}</p>"
        f"<dl>{items}</dl>{said}</div>"
    )


def _where(findings: Findings) -> str:
    """Each zone in a line: how far its cells reach, its peak with its standard error, and how many cells it holds."""
    metric = findings.metric
    n_cells = sum(1 for cell in findings.map.cells if cell.values) if findings.map is not None else 0
    lines = []
    for zone in findings.zones:
        reach = ", ".join(_reach(name, [cell[name] for cell in zone.cells if name in cell]) for name in zone.peak)
        share = f" ({len(zone.cells) / n_cells:.0%} of the map)" if n_cells else ""
        n = len(zone.cells)
        lines.append(
            f"<li><b>{zone.number}</b> {escape(reach)}: peak {escape(point_text(zone.peak))} with "
            f"{escape(metric.text(zone.value, zone.se))}, {n} cell{'s' if n != 1 else ''}{share}</li>"
        )
    limit = findings.map.limit.sentence if findings.map is not None else ""
    said = f"<p class=whence>{escape(limit)}</p>" if limit else ""
    return f"<ul class=zones>{''.join(lines)}</ul>{said}<p class=whence>± is one standard error between seeds.</p>"


def _reach(name: str, values: Sequence[Value]) -> str:
    """``width 128 to 1024`` for numbers, ``kind a or b`` for choices."""
    different = list({told_apart(value): value for value in values}.values())
    numbers = [value for value in different if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(different):
        low, high = min(numbers), max(numbers)
        return f"{name} {low:.4g}" if low == high else f"{name} {low:.4g} to {high:.4g}"
    return f"{name} {' or '.join(map(str, different))}"
