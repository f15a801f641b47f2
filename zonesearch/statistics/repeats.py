"""How much of a cell's spread comes from the seed, and how much is jitter between epochs.

Repeats of one cell differ for two reasons: each seed gives a different network, and under a constant learning rate a
network's value jitters from epoch to epoch, so the stopping epoch matters. A reading at the last epoch contains both;
at the best epoch, or as the median of the last ones, little of the jitter is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.trials import Params, Trial
from zonesearch.core.wording import point_text

__all__ = ["Spread", "measure_spread", "spread_table"]


@dataclass(frozen=True)
class Spread:
    """The repeats of one cell; values of the validation split, standard deviations with n - 1.

    Args:
        params: the cell.
        n: number of complete repeats.
        mean: at the last epoch.
        band: largest minus smallest at the last epoch.
        sd_last, sd_best: between seeds, at the last and at the best epoch.
        sd_epochs: over the last quarter of the epochs of one training, root mean square over seeds.
    """

    params: Params
    n: int
    mean: float
    band: float
    sd_last: float
    sd_best: float
    sd_epochs: float

    @property
    def jitter_share(self) -> float:
        """Fraction of the variance between repeats at the last epoch that jitter between epochs explains, at most 1."""
        return min(1.0, self.sd_epochs**2 / self.sd_last**2) if self.sd_last > 0 else 1.0


def measure_spread(trials: Iterable[Trial]) -> list[Spread]:
    """One spread per cell with two or more complete repeats, in the order of first appearance."""
    cells: dict[tuple[object, ...], list[Trial]] = {}
    for trial in trials:
        if trial.complete and trial.follows_epochs:
            cells.setdefault(trial.training.identity[0], []).append(trial)
    return [_spread(repeats) for repeats in cells.values() if len(repeats) > 1]


def _spread(repeats: Sequence[Trial]) -> Spread:
    epochs = min(trial.epochs for trial in repeats)
    asked = [epoch - 1 for epoch in range(1, epochs + 1) if all(trial.evaluated_after(epoch) for trial in repeats)]
    curves = np.array([[trial.validation_curve[epoch] for epoch in asked] for trial in repeats])
    late = curves[:, -max(2, len(asked) // 4) :]
    return Spread(
        params=dict(repeats[0].params),
        n=len(repeats),
        mean=float(curves[:, -1].mean()),
        band=float(np.ptp(curves[:, -1])),
        sd_last=float(curves[:, -1].std(ddof=1)),
        sd_best=float(np.std([repeats[0].metric.best(curve) for curve in curves.tolist()], ddof=1)),
        sd_epochs=float(np.sqrt(late.var(1, ddof=1).mean())),
    )


def spread_table(spreads: Iterable[Spread], metric: Metric = ACCURACY) -> str:
    """As a Markdown table: fractions in percentage points, anything else in the metric's unit."""
    rows = [
        "| cell | n | mean | largest - smallest | sd, last epoch | sd, best epoch | sd between epochs | of it jitter |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for s in spreads:
        numbers = (s.mean, s.band, s.sd_last, s.sd_best, s.sd_epochs)
        shown = " | ".join(f"{100 * number:.2f}" if metric.is_share else f"{number:.4g}" for number in numbers)
        rows.append(f"| {point_text(s.params)} | {s.n} | {shown} | {100 * s.jitter_share:.0f} % |")
    return "\n".join(rows)
