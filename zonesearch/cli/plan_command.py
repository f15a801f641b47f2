"""Estimate the maximum number of trainings of a study and how long they take on this machine."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from zonesearch.cli.options import add_study, given_study

if TYPE_CHECKING:
    from zonesearch.core.space import Space
    from zonesearch.search.controller.foresight import Foresight

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """STUDY.toml [--set KEY=VALUE] [--json] [--no-probe]."""
    add_study(parser)
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.add_argument("--no-probe", action="store_true", help="train nothing; no time estimates")


def call(options: argparse.Namespace) -> None:
    """Train a short probe and print one line per stage."""
    import json

    from zonesearch.cli.wording import duration
    from zonesearch.core.metric import ACCURACY
    from zonesearch.run.engines.limited import limited
    from zonesearch.run.foresight import foresight_of
    from zonesearch.run.pipeline import estimate, forecast
    from zonesearch.run.running import check

    study = given_study(options)
    objective = study.objective()
    check(study, objective)
    workers, n_threads = int(study.run.get("workers", 1)), int(study.run.get("threads", 1))
    failures: list[str] = []
    if options.no_probe:
        costs = forecast(study, objective)
    else:
        options.watch.trains()
        with limited(objective, study.run.get("timeout"), options.watch.apart, n_threads) as held:
            costs = estimate(study, held, workers=workers, on_failure=failures.append)
    foretold = foresight_of(study, objective)
    n_trainings, n_epochs = sum(c.n_trainings for c in costs), sum(c.n_epochs for c in costs)
    seconds = math.fsum(c.seconds for c in costs)
    if options.json:
        stages = [
            {
                "stage": c.name,
                "trainings": c.n_trainings,
                "epochs": c.n_epochs,
                "seconds": None if math.isnan(c.seconds) else c.seconds,
            }
            for c in costs
        ]
        total = {"trainings": n_trainings, "epochs": n_epochs, "seconds": None if math.isnan(seconds) else seconds}
        budget = {} if study.budget is None else {"budget": study.budget.describe()}
        plan = {
            "study": study.name,
            "workers": workers,
            "metric": study.metric.describe(),
            **budget,
            "stages": stages,
            "total": total,
            "failed_probes": failures,
            "forecast": None if foretold is None else _as_json(foretold),
        }
        print(json.dumps(plan, indent=2))
        return
    if study.metric != ACCURACY:
        print(f"{study.name}: {study.metric.name} is to be {study.metric.direction}d")
    print(f"{study.name}: at most")
    for name, trainings, epochs, took in [
        *((c.name, c.n_trainings, c.n_epochs, c.seconds) for c in costs),
        ("together", n_trainings, n_epochs, seconds),
    ]:
        time = "" if math.isnan(took) else f"   about {duration(took)}"
        print(f"  {name:<10} {trainings:>7,} trainings {epochs:>10,} epochs{time}")
    if study.budget is not None:
        print(
            f"Budget {study.budget}: a stage may spend half of what is left when it begins (one that places its own "
            "trainings, four fifths, of fewer than 20 trainings all but one), or all that those after it cannot use; "
            "the last one may spend all."
        )
    if not math.isnan(seconds):
        print(
            f"Times are estimated from a short probe on this machine with {workers} worker{'s' if workers > 1 else ''}."
        )
    if failures:
        probes = f"{len(failures)} short probes" if len(failures) > 1 else "A short probe"
        without = ", so no times can be given" if math.isnan(seconds) else "; times are those of the others"
        print(f"{probes} of one epoch failed ({failures[-1]}){without}.")
    for line in _foretold(foretold, study.space):
        print(line)


def _as_json(foretold: Foresight) -> dict[str, Any]:
    from zonesearch.search.controller.foresight import MOST_EACH, PROBABILITY

    low, each, high = foretold.each_low, foretold.each, foretold.each_high
    return {
        "probability": PROBABILITY,
        "axes": [
            {"axis": a.name, "role": a.role, "low": a.low, "high": a.high, "share": a.share} for a in foretold.axes
        ],
        "without_role": list(foretold.unknown),
        "separating_each": {"trainings": each, "low": low, "high": high, "at_most_counted": MOST_EACH}
        if each
        else None,
        "earlier_runs": list(foretold.runs),
    }


def _foretold(foretold: Foresight | None, space: Space) -> list[str]:
    """The forecast as lines of text."""
    from zonesearch.search.controller.foresight import MOST_EACH, PROBABILITY

    if foretold is None:
        return [
            "No axis has a role, so nothing is foretold of where the zone lies; the usual names have theirs, and "
            'role = "learning_rate" in [space] gives one.'
        ]
    runs = f" and {len(foretold.runs)} earlier runs of yours" if foretold.runs else ""
    lines = [f"Forecast, by trainings of other networks{runs}; each best value lies there with {PROBABILITY:.0%}:"]
    width = max(len(axis.name) for axis in foretold.axes)
    for axis in foretold.axes:
        whole = "   (hardly less than the axis: nothing is known)" if axis.share > PROBABILITY - 0.05 else ""
        ends = f"{_short(axis.low, space, axis.name)} to {_short(axis.high, space, axis.name)}"
        lines.append(f"  {axis.name:<{width}}  {ends}{whole}")
    if foretold.unknown:
        lines.append(f"  Nothing is foretold of {', '.join(foretold.unknown)}, without a role.")

    def counted(n: int) -> str:
        return f"{n:,}" if n < MOST_EACH else f"more than {n:,}"

    if not foretold.each:
        return [*lines, "All settings are in one region, so there are no two to tell apart."]
    lines.append(
        f"The best two settings of different regions will be told apart by about {counted(foretold.each)} trainings of "
        f"each ({PROBABILITY:.0%}: {counted(foretold.each_low)} to {counted(foretold.each_high)})."
    )
    return lines


def _short(value: float, space: Space, name: str) -> str:
    return f"{value:,.0f}" if getattr(space[name], "integer", False) else f"{value:.3g}"
