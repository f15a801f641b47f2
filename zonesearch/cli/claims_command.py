"""Print the replication results of a study's claims."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN [--spread] [--json]."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the run folder of a study with a stage compare")
    parser.add_argument(
        "--spread", action="store_true", help="also show how far the repeats of each cell differ, and why"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def call(options: argparse.Namespace) -> None:
    """Print Markdown tables: claims with their replication, and the spread of the cells."""
    import json

    from zonesearch.errors import StudyError
    from zonesearch.run.recorded import read_run, study_of
    from zonesearch.run.storage.run_folder import RunFolder
    from zonesearch.search.stages.compare import Compare
    from zonesearch.statistics.claims import claims_table
    from zonesearch.statistics.repeats import measure_spread, spread_table

    study = study_of(RunFolder.open(options.run))
    stages = [stage for stage in study.stages if isinstance(stage, Compare)]
    if not stages:
        raise StudyError(f"study {study.name} makes no claims: it has no compare stage")
    trials = read_run(options.run)[0].trials
    outcomes = [outcome for stage in stages for outcome in stage.check_claims(trials)]
    spreads = measure_spread(trials) if options.spread else []
    if options.json:
        described = {"study": study.name, "claims": [outcome.describe() for outcome in outcomes]}
        print(json.dumps(described | ({"spread": [vars(s) for s in spreads]} if options.spread else {}), indent=2))
        return
    print(claims_table(outcomes, stages[0].level))
    if spreads:
        print()
        print(spread_table(spreads, trials.metric))
