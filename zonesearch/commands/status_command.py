"""Show how far a run is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from zonesearch.domain.trials import Trials

__all__ = ["add_arguments", "call", "status_of"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN [--json]."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the run folder")
    parser.add_argument("--json", action="store_true", help="print the status as JSON")


def call(options: argparse.Namespace) -> None:
    """Print the status; nothing is written."""
    import json

    status = status_of(options.run)
    if options.json:
        print(json.dumps(status, indent=2))
        return
    print(f"{status['name']} ({options.run}): {'finished' if status['finished'] else 'stage ' + status['stage']}")
    print(f"  {'stage':<10} {'wanted':>7} {'done':>7} {'missing':>8} {'diverged':>9} {'failed':>7}")
    for stage in status["stages"]:
        wanted = stage["wanted"] if stage["wanted"] is not None else "?"
        counts = [wanted, stage["done"], stage["missing"], stage["diverged"], stage["failed"]]
        print("  {:<10} {:>7} {:>7} {:>8} {:>9} {:>7}".format(stage["stage"], *counts))
    for conflict in status["conflicts"]:
        print(f"  conflict: {conflict}")
    if status["torn_lines"]:
        print(f"  {status['torn_lines']} torn lines were skipped; their trainings are wanted again")
    if status["best"]:
        best = status["best"]
        print(f"  best so far: {best['accuracy']:.4f} at {best['params']}")
    for shard in status["shards"]:
        said = f"{shard['done']} done, {shard['missing']} missing, {shard['failed']} failed"
        print(f"  shard {shard['shard']}: {said}")
    for line in status["next"]:
        print(f"  next: {line}")
    if status["verdict"]:
        print(status["verdict"]["sentence"])


def _shards(run: Path, trials: Trials) -> tuple[list[dict[str, Any]], list[str]]:
    """Per shard what is done of the round under way, and what to type next; empty for a run without shards."""
    from zonesearch.engine.run_folder import RunFolder
    from zonesearch.engine.shards import n_shards_in, next_commands
    from zonesearch.sharing import shards_of
    from zonesearch.study.files import parse_study

    folder = RunFolder.open(run)
    if n_shards_in(trials) < 2 or not folder.study_text:
        return [], []
    study = parse_study(folder.study_text, name=folder.name, where=str(folder.path / "study.toml"))
    statuses = shards_of(study, study.objective(), trials)
    shown = [
        {
            "shard": str(s.shard),
            "done": s.n_done,
            "missing": s.n_missing,
            "diverged": s.n_diverged,
            "failed": s.n_failed,
        }
        for s in statuses
    ]
    return shown, next_commands(statuses, "STUDY.toml", str(run)) if statuses else []


def status_of(run: Path) -> dict[str, Any]:
    """The status of a run folder as plain data: done, missing, diverged, failed, stage, zones, verdict."""
    from zonesearch.recorded import read_run

    findings, n_torn = read_run(run)
    trials = findings.trials
    stages = []
    for record in findings.stages:
        back = [trial for training in record.wanted if (trial := trials.get(training)) is not None]
        states = [trial.state for trial in back]
        stages.append(
            {
                "stage": record.name,
                "finished": record.finished,
                "wanted": len(record.wanted) if record.wanted or record.finished else None,
                "done": len(back),
                "missing": len(record.wanted) - len(back),
                "diverged": states.count("diverged"),
                "failed": states.count("failed"),
            }
        )
    shards, commands = _shards(run, trials)
    states = [trial.state for trial in trials]
    complete = [trial for trial in trials if trial.accuracy is not None]
    best = max(complete, key=lambda trial: trial.accuracy or 0.0, default=None)
    return {
        "name": findings.name,
        "study": findings.fingerprint,
        "finished": findings.finished,
        "stage": next((record.name for record in findings.stages if not record.finished), "finished"),
        "done": len(trials),
        "missing": sum(stage["missing"] for stage in stages),
        "diverged": states.count("diverged"),
        "failed": states.count("failed"),
        "conflicts": [str(conflict) for conflict in trials.conflicts],
        "torn_lines": n_torn,
        "best": {"params": dict(best.params), "accuracy": best.accuracy} if best else None,
        "stages": stages,
        "shards": shards,
        "next": commands,
        "zones": [zone.describe() for zone in findings.zones],
        "verdict": findings.verdict.describe() if findings.verdict else None,
    }
