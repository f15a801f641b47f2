"""Show the progress of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zonesearch.run.storage.storage import place_of

if TYPE_CHECKING:
    from zonesearch.run.recorded import Recorded
    from zonesearch.statistics.search_results import StageRecord

__all__ = ["add_arguments", "call", "status_of"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN [--json]."""
    parser.add_argument("run", metavar="RUN", type=place_of, help="the run folder, or NAME://ADDRESS of a storage")
    parser.add_argument("--json", action="store_true", help="print the status as JSON")


def call(options: argparse.Namespace) -> None:
    """Print the status; nothing is written."""
    import json

    status = status_of(options.run)
    if options.json:
        print(json.dumps(status, indent=2))
        return
    print(f"{status['name']} ({options.run}): {'finished' if status['finished'] else 'stage ' + status['stage']}")
    pruned = f" {'pruned':>7}" if status["pruned"] else ""
    print(f"  {'stage':<10} {'wanted':>7} {'done':>7} {'missing':>8} {'diverged':>9} {'failed':>7}{pruned}")
    for stage in status["stages"]:
        wanted = stage["wanted"] if stage["wanted"] is not None else "?"
        counts = [wanted, stage["done"], stage["missing"], stage["diverged"], stage["failed"]]
        counts += [stage["pruned"]] if pruned else []
        print(
            f"  {stage['stage']:<10} {{:>7}} {{:>7}} {{:>8}} {{:>9}} {{:>7}}{' {:>7}' if pruned else ''}".format(
                *counts
            )
        )
    for conflict in status["conflicts"]:
        print(f"  conflict: {conflict}")
    if status["torn_lines"]:
        print(f"  {status['torn_lines']} torn lines were skipped; their trainings are wanted again")
    for note in status["notes"]:
        print(f"  note: {note}")
    if status["best"]:
        from zonesearch.core.metric import ACCURACY, Metric

        best = status["best"]
        metric = Metric.parse(status["metric"])
        value = best[metric.name]
        said = f"{value:.4f}" if metric.name == ACCURACY.name else f"{metric.name} {metric.text(value)}"
        print(f"  best so far: {said} at {best['params']}")
    for shard in status["shards"]:
        said = f"{shard['done']} done, {shard['missing']} missing, {shard['failed']} failed"
        print(f"  shard {shard['shard']}: {said}")
    for line in status["next"]:
        print(f"  next: {line}")
    for note in status["imported"]:
        print(f"  {note}")
    if status["verdict"]:
        print(status["verdict"]["sentence"])


def _shards(recorded: Recorded, run: str | Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Progress of the current round per shard, and the next command to run; empty for a run without shards."""
    from zonesearch.run.shards import n_shards_in, next_commands
    from zonesearch.run.sharing import shards_of

    trials = recorded.results.trials
    n = n_shards_in(trials)
    if n < 2 or recorded.results.finished:
        return [], []
    statuses = shards_of(recorded.study, recorded.deals, trials)
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
    return shown, next_commands(statuses, "STUDY.toml", str(run), n)


def _is_import(record: StageRecord) -> bool:
    """Whether a stage holds imported trainings."""
    return record.settings.get("kind") == "imported"


def status_of(run: str | Path) -> dict[str, Any]:
    """The status of a run folder as plain data: done, missing, diverged, failed, stage, zones, verdict."""
    from zonesearch.run.recorded import read_recorded

    recorded = read_recorded(run)
    results, n_torn = recorded.results, recorded.n_torn
    trials = results.trials
    stages = []
    for record in results.stages:
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
                "pruned": states.count("pruned"),
            }
        )
    shards, commands = _shards(recorded, run)
    states = [trial.state for trial in trials]
    complete = [trial for trial in trials if trial.accuracy is not None and trial.feasible]
    metric = results.metric
    best = max(complete, key=lambda trial: metric.score(trial.accuracy or 0.0), default=None)
    return {
        "name": results.name,
        "study": results.fingerprint,
        "finished": results.finished,
        "stage": next((record.name for record in results.stages if not record.finished), "finished"),
        "done": len(trials),
        "missing": sum(stage["missing"] for stage in stages),
        "diverged": states.count("diverged"),
        "failed": states.count("failed"),
        "pruned": states.count("pruned"),
        "conflicts": [str(conflict) for conflict in trials.conflicts],
        "torn_lines": n_torn,
        "metric": metric.describe(),
        "notes": list(results.notes),
        "best": {"params": dict(best.params), metric.name: best.accuracy} if best else None,
        "zones": [zone.describe() for zone in results.zones],
        "stages": stages,
        "shards": shards,
        "next": commands,
        "imported": [note for record in results.stages if _is_import(record) for note in record.notes],
        "verdict": results.verdict.describe() if results.verdict else None,
    }
