"""Say how many trainings a study needs at most and how long that takes here."""

from __future__ import annotations

import argparse
import math

from zonesearch.cli.options import add_study, given_study

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """STUDY.toml [--set KEY=VALUE] [--json] [--no-probe]."""
    add_study(parser)
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.add_argument("--no-probe", action="store_true", help="train nothing at all; no times")


def call(options: argparse.Namespace) -> None:
    """Train a short probe, print one line per stage."""
    import json

    from zonesearch.cli.wording import duration
    from zonesearch.core.metric import ACCURACY
    from zonesearch.run.engines.limited import limited
    from zonesearch.run.pipeline import estimate, forecast
    from zonesearch.run.running import check

    study = given_study(options)
    objective = study.objective()
    check(study, objective)
    workers = int(study.run.get("workers", 1))
    if options.no_probe:
        costs = forecast(study, objective)
    else:
        with limited(objective, study.run.get("timeout")) as held:
            costs = estimate(study, held, workers=workers)
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
        print(f"Times by a short probe on this machine with {workers} worker{'s' if workers > 1 else ''}.")
