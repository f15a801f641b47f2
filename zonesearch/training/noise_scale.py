"""The gradient noise scale: the batch size up to which larger batches pay off.

B_simple = tr(Sigma) / |G|^2, with Sigma the covariance of per-example gradients and G the true gradient (McCandlish et
al. 2018, eq. 2.9). A batch size far below it wastes steps, one far above it wastes examples. Both terms come from the
mean squared norm of gradients over small and over large batches (their appendix A.1), which is unbiased.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zonesearch.errors import StudyError
from zonesearch.training.augmentation import Augmentation
from zonesearch.training.data.collate import Inputs, batch_of
from zonesearch.training.step import flat_gradient
from zonesearch.training.technique import Hooks, Run, check_table

__all__ = ["NoiseScale", "NoiseScaleProbe", "measure_noise_scale"]


@dataclass(frozen=True)
class NoiseScale:
    """A measurement.

    Args:
        squared_norm: estimate of |G|^2; may be negative if noise dominates the gradient.
        trace: estimate of tr(Sigma).
    """

    squared_norm: float
    trace: float

    @property
    def critical_batch(self) -> float:
        """B_simple in examples; infinite if no gradient is visible above the noise."""
        return max(0.0, self.trace) / self.squared_norm if self.squared_norm > 0 else math.inf

    def warning(self, batch: int) -> str:
        """A warning about a batch size; empty unless it is above the critical one."""
        if batch <= self.critical_batch:
            return ""
        return (
            f"a batch of {batch} is above the critical batch of about {self.critical_batch:.0f} examples: "
            "larger batches save hardly any steps here"
        )

    def describe(self) -> dict[str, Any]:
        """The measurement as plain data; an infinite critical batch becomes None."""
        critical = self.critical_batch if math.isfinite(self.critical_batch) else None
        return {"critical_batch": critical, "squared_norm": self.squared_norm, "trace": self.trace}


@dataclass(frozen=True)
class NoiseScaleProbe:
    """The table ``[noise_scale]``: measure after every epoch.

    It adds ``gradient_squared_norm`` and ``gradient_trace`` to the trial's curve; their ratio is the critical batch
    (the ratio of their means over several epochs is less noisy).

    Args:
        batch, n_batches: as in :func:`measure_noise_scale`.
    """

    batch: int = 32
    n_batches: int = 64

    def __post_init__(self) -> None:
        if self.batch < 1 or self.n_batches < 2:
            raise StudyError(
                f"[noise_scale] wants batch >= 1 and n_batches >= 2, not {self.batch} and {self.n_batches}"
            )

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> NoiseScaleProbe:
        """Read the table.

        Raises:
            StudyError: for an unknown key or a wrong value.
        """
        check_table(cls, table, "noise_scale")
        return cls(**table)

    def begin(self, run: Run) -> Hooks:
        """Hooks that measure."""
        return _Probe(self)


class _Probe(Hooks):
    def __init__(self, settings: NoiseScaleProbe) -> None:
        self._settings = settings

    def after_epoch(self, run: Run) -> None:
        scale = measure_noise_scale(
            run.network,
            run.loss,
            run.seen,
            run.labels,
            batch=self._settings.batch,
            n_batches=self._settings.n_batches,
            generator=run.generator,
            precision=run.precision,
            augmentation=None if run.augmentation is None else run.augmentation.twin(),
            epoch=run.epoch,
        )
        run.curve.setdefault("gradient_squared_norm", []).append(scale.squared_norm)
        run.curve.setdefault("gradient_trace", []).append(scale.trace)


def measure_noise_scale(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Inputs,
    labels: Tensor,
    *,
    batch: int = 32,
    n_batches: int = 64,
    generator: torch.Generator | None = None,
    precision: str = "float32",
    augmentation: Augmentation | None = None,
    epoch: int = 0,
) -> NoiseScale:
    """Measure the noise scale at the network's present weights; the network does not change.

    Args:
        loss: mean loss of (outputs, labels).
        inputs, labels: the training split.
        batch: size of the small batches, drawn without replacement as far as the data suffice.
        n_batches: number of small batches, 2 or more; together they form the large batch. The more, the smaller the
            error.
        generator: for the order of the examples.
        precision: of products.
        augmentation: changes the inputs of each batch, as training does.
        epoch: counted from 0, for augmentations that are drawn in advance.
    """
    n = len(inputs)
    batch = max(1, min(batch, n // 2))
    n_batches = max(2, min(n_batches, n // batch))
    order = torch.randperm(n, generator=generator).to(labels.device)
    parameters = [p for p in network.parameters() if p.requires_grad]
    was_training = network.training
    network.eval()
    total: Tensor | None = None
    small = 0.0
    for i in range(n_batches):
        chosen = order[i * batch : (i + 1) * batch]
        x, wanted = batch_of(inputs, labels, chosen)
        if augmentation is not None and isinstance(x, Tensor):
            x = augmentation(x, *augmentation.of_batches([chosen], x.device, epoch))
        flat = flat_gradient(network, loss, x, wanted, parameters, precision).double()
        small += float(flat @ flat) / n_batches
        total = flat if total is None else total + flat
    network.train(was_training)
    assert total is not None
    large = float(total @ total) / n_batches**2
    n_large = batch * n_batches
    squared_norm = (n_large * large - batch * small) / (n_large - batch)
    trace = (small - large) / (1 / batch - 1 / n_large)
    return NoiseScale(squared_norm, trace)
