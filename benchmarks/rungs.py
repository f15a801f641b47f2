"""What rungs save and what they lose: grids replayed from recorded maps, with rungs and without.

    python -m benchmarks.rungs [MAP...] [--replays 40] [--seeds 1 3]

A MAP is a recorded map (by default those in ``benchmarks/recorded``) or the folder of a finished run with several seeds
a cell. Each replay draws the seeds of the map from the recorded ones. The grid recommends the peak of its best zone,
whose regret is the mean over the seeds that were not drawn, subtracted from that of the best cell. With rungs and
without, the same draws are replayed, so the regret that was lost is a mean over pairs. "only 5" is the whole grid with
5 epochs and no more: what rungs have to beat.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zonesearch.benchmark.recorded import RecordedMap
from zonesearch.benchmark.recording import map_of, read_map
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.run.recorded import read_run
from zonesearch.search.stages.grid import Grid

RECORDED = Path(__file__).parent / "recorded"

Truth = dict[tuple[object, ...], float]


@dataclass(frozen=True)
class Replay:
    """One grid on a recorded map.

    Args:
        epochs: that it trained.
        regret: of the peak of its best zone.
        peak: that cell.
        zones: the cells of each zone.
        warned: whether it said that an early map was not yet right.
    """

    epochs: int
    regret: float
    peak: Params
    zones: tuple[tuple[Params, ...], ...]
    warned: bool


@dataclass(frozen=True)
class Draw:
    """Which recorded seeds stand for seeds 0, 1, ... of the map, and the means over the others."""

    recorded: RecordedMap
    seeds: tuple[int, ...]
    truth: Truth

    @classmethod
    def of(cls, recorded: RecordedMap, n_seeds: int, number: int) -> Draw:
        """Draw number ``number``."""
        order = np.random.default_rng([n_seeds, number]).permutation(recorded.n_seeds).tolist()
        truth = {}
        for cell in recorded.cells:
            values = [recorded.reading(cell.curves[i]) for i in order[n_seeds:] if cell.curves[i]]
            truth[tuple(cell.params.values())] = math.fsum(values) / len(values) if values else -math.inf
        return cls(recorded, tuple(order[:n_seeds]), truth)

    def replay(self, rungs: Sequence[int] = (), epochs: int | None = None) -> Replay:
        """The grid to its end, every training answered from the record."""
        recorded = self.recorded
        curves = {Training(cell.params).identity[0]: cell.curves for cell in recorded.cells}

        def trained(training: Training) -> Trial:
            curve = curves[training.identity[0]][self.seeds[training.seed]][: training.epochs]
            if not curve:
                return Trial(training, "diverged")
            kept = {"validation_accuracy": curve}
            return Trial(training, accuracy=max(curve), curve=kept, n_validation=recorded.n_validation)

        length = epochs or recorded.epochs
        grid = Grid(recorded.space, length, len(self.seeds), recorded.reading, rungs=tuple(rungs))
        trials = Trials()
        while missing := trials.missing((plan := grid.plan(None, trials)).trainings):
            trials |= Trials(map(trained, missing))
        peak = plan.output[0].peak
        return Replay(
            epochs=sum(training.epochs for training in plan.trainings),
            regret=max(self.truth.values()) - self.truth[tuple(peak.values())],
            peak=peak,
            zones=tuple(zone.cells for zone in plan.output),
            warned=any("not yet right" in note for note in plan.notes),
        )


def table(recorded: RecordedMap, n_seeds: int, n: int) -> None:
    """Print one line per row of rungs, and per grid that is short as a whole."""
    print(
        f"\n{recorded.name}: {len(recorded.cells)} cells, {recorded.epochs} epochs, {n_seeds} of {recorded.n_seeds} "
        f"seeds a cell, {n} replays; regrets in points (100 x accuracy)\n"
    )
    print("| rungs | epochs saved | regret | without rungs | lost | peak in a zone of the full map | warned |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    draws = [Draw.of(recorded, n_seeds, i) for i in range(n)]
    full = [draw.replay() for draw in draws]
    rows = ladders(recorded.epochs)
    for name, rungs, epochs in rows:
        found = [draw.replay(rungs, epochs) for draw in draws]
        saved = np.mean([1 - a.epochs / b.epochs for a, b in zip(found, full, strict=True)])
        inside = np.mean([any(a.peak in zone for zone in b.zones) for a, b in zip(found, full, strict=True)])
        lost = [a.regret - b.regret for a, b in zip(found, full, strict=True)]
        print(
            f"| {name} | {100 * saved:.0f} % | {said([a.regret for a in found])} | {said([b.regret for b in full])} "
            f"| {said(lost)} | {100 * inside:.0f} % | {100 * np.mean([a.warned for a in found]):.0f} % |",
            flush=True,
        )


def ladders(epochs: int) -> list[tuple[str, tuple[int, ...], int | None]]:
    """Name, rungs and length of each row: one rung, doubling rungs from there, and nothing but that rung."""
    starts = sorted({max(1, round(epochs / part)) for part in (10, 4, 2)})
    doubling = [tuple(r for r in (start * 2**i for i in range(8)) if r < epochs) for start in starts]
    rungs = dict.fromkeys([*((start,) for start in starts), *doubling])
    rows: list[tuple[str, tuple[int, ...], int | None]] = [(", ".join(map(str, row)), row, None) for row in rungs]
    return rows + [(f"only {start}", (), start) for start in starts]


def said(values: Sequence[float]) -> str:
    """Mean and standard error, in points."""
    return f"{100 * np.mean(values):.2f} +- {100 * np.std(values, ddof=1) / math.sqrt(len(values)):.2f}"


def main() -> None:
    """All maps, with each number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("maps", nargs="*", type=Path)
    parser.add_argument("--replays", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3])
    arguments = parser.parse_args()
    for path in arguments.maps or sorted(RECORDED.glob("*.json")):
        recorded = map_of(read_run(path)[0]) if path.is_dir() else read_map(path)
        for n_seeds in arguments.seeds:
            table(recorded, n_seeds, arguments.replays)


if __name__ == "__main__":
    main()
