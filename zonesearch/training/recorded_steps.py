"""The steps of the reference loop on a GPU, recorded once and replayed (:mod:`zonesearch.training.replay`).

Only where nothing but the examples, what augmentation draws for them and the learning rates differs between steps: the
usual networks and losses under torch's fused optimizers, without a technique that looks at gradients. What
cannot be recorded for another reason is trained step by step, as everything is on a processor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zonesearch.training.augmentation import Drawn
from zonesearch.training.losses import L1, CrossEntropy, Huber, Mse, WeightedLoss
from zonesearch.training.memory import is_out_of_memory
from zonesearch.training.networks import dropout_generator
from zonesearch.training.replay import Replay, Tables, is_worth
from zonesearch.training.step import gradients
from zonesearch.training.technique import Hooks, Run

__all__ = ["RecordedSteps", "is_recordable"]

_TORCH = ("activation", "batchnorm", "container", "conv", "dropout", "flatten", "linear", "normalization", "padding",
          "pooling")  # fmt: skip
_KNOWN = (
    *(f"torch.nn.modules.{name}" for name in _TORCH),
    *("zonesearch.training.networks.", "torchvision.models.", "torchvision.ops."),
)
"""Where modules are defined that do the same in each step: others, of users too, may look at what they compute."""


def is_recordable(run: Run, n_steps: int) -> bool:
    """Whether the step of a training that has ``n_steps`` to go can be recorded, and is worth it."""
    parameters = [parameter for group in run.optimizer.param_groups for parameter in group["params"]]
    return (
        isinstance(run.inputs, Tensor)
        and all(type(module).__module__.startswith(_KNOWN) for module in run.network.modules())
        and isinstance(run.loss, WeightedLoss)
        and isinstance(run.loss.kind, CrossEntropy | Mse | L1 | Huber)
        and isinstance(run.optimizer, torch.optim.Adam | torch.optim.AdamW | torch.optim.SGD)
        and all(type(hook).before_step is Hooks.before_step for hook in run.hooks)
        and run.recorded is not False
        and all(is_worth(n_steps, parameter) for parameter in parameters)
    )


class RecordedSteps:
    """A step that is repeated.

    Args:
        run: of a training whose first steps are taken.
        n_steps: at most, in one go.
        scores: of some examples, as the step gives them.
        drawn: for each step of an epoch, what augmentation does; None without.
    """

    def __init__(self, run: Run, n_steps: int, scores: Tensor, drawn: Sequence[Drawn] | None) -> None:
        assert isinstance(run.inputs, Tensor)
        device, batch = run.labels.device, run.batch
        self._tables = Tables(n_steps, batch, len(run.optimizer.param_groups), device)
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._scores = scores.new_zeros(n_steps, batch, *scores.shape[1:])
        self._shifts, self._mirrored = (
            None if first is None else first.new_zeros(n_steps, *first.shape) for first in _of_first(drawn)
        )
        self._key = _key(run)
        inputs, labels = run.inputs, run.labels
        parameters = [parameter for parameter in run.network.parameters() if parameter.requires_grad]

        def step() -> None:
            chosen, rates = self._tables.now
            x, wanted = inputs.index_select(0, chosen), labels.index_select(0, chosen)
            if run.augmentation is not None:
                x = run.augmentation(x, Drawn(self._row(self._shifts), self._row(self._mirrored)))
            loss, found = gradients(run, x, wanted)
            if run.clip:
                nn.utils.clip_grad_norm_(parameters, run.clip)
            with torch.no_grad():
                _move(run.optimizer, rates.unbind())
                self._loss += loss * batch
                self._scores.index_copy_(0, self._tables.at, found[None])
                self._tables.next()

        run.network.train()
        stream = dropout_generator(run.network)
        self._replay = Replay(step, device, () if stream is None else (stream,))

    @classmethod
    def of(cls, run: Run, n_steps: int, scores: Tensor, drawn: Sequence[Drawn] | None) -> RecordedSteps | bool:
        """Record a step; False where something in it cannot be recorded."""
        try:
            return cls(run, n_steps, scores, drawn)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            return False

    def fits(self, run: Run) -> bool:
        """Whether weights and the optimizer's memory are where they were, and nothing else has changed either."""
        return self._key == _key(run)

    def take(
        self, run: Run, examples: Tensor, rates: Sequence[Sequence[float]], drawn: Sequence[Drawn] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take steps.

        Args:
            run: the training.
            examples: (steps, batch) indices.
            rates: for each step, of every group of parameters.
            drawn: for each step, what augmentation does; None without.

        Returns:
            The sum of the losses of all examples, a scalar; their scores; their labels.
        """
        n = len(examples)
        self._loss.zero_()
        self._tables.fill(examples, rates)
        for table, rows in ((self._shifts, "shifts"), (self._mirrored, "mirrored")):
            if table is not None:
                table[:n].copy_(torch.stack([getattr(each, rows) for each in drawn or ()]))
        run.network.train()
        self._replay.take(n)
        run.step += n
        return self._loss.clone(), self._scores[:n].flatten(0, 1).clone(), run.labels[examples.flatten()]

    def _row(self, table: Tensor | None) -> Tensor | None:
        return None if table is None else table.index_select(0, self._tables.at)[0]


def _of_first(drawn: Sequence[Drawn] | None) -> tuple[Tensor | None, Tensor | None]:
    return (drawn[0].shifts, drawn[0].mirrored) if drawn else (None, None)


def _key(run: Run) -> tuple[Any, ...]:
    """What a recorded step relies on."""
    assert isinstance(run.inputs, Tensor)
    kept = [run.inputs, run.labels, *run.network.parameters(), *run.network.buffers()]
    for state in run.optimizer.state.values():
        kept += [each for each in state.values() if isinstance(each, Tensor)]
    groups = tuple(
        (len(group["params"]), *(value for name, value in sorted(group.items()) if name not in ("params", "lr")))
        for group in run.optimizer.param_groups
    )
    return run.batch, run.precision, run.clip, groups, tuple(each.data_ptr() for each in kept)


def _move(optimizer: torch.optim.Optimizer, rates: Iterable[Tensor]) -> None:
    """The optimizer's step in torch's own kernels, with a rate on the device for each group of parameters."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not parameters:
            continue
        states = [optimizer.state[parameter] for parameter in parameters]
        descent = [parameter.grad for parameter in parameters]
        common = {"weight_decay": group["weight_decay"], "maximize": False}
        if isinstance(optimizer, torch.optim.SGD):
            momentum = group["momentum"]
            torch._fused_sgd_(
                parameters, descent, [state["momentum_buffer"] for state in states] if momentum else [], lr=rate,
                momentum=momentum, dampening=group["dampening"], nesterov=group["nesterov"], is_first_step=False,
                **common,
            )  # fmt: skip
            continue
        fused: Any = torch._fused_adamw_ if isinstance(optimizer, torch.optim.AdamW) else torch._fused_adam_
        means, squares, counts = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        torch._foreach_add_(counts, 1)
        fused(
            parameters, descent, means, squares, [], counts, lr=rate, beta1=group["betas"][0], beta2=group["betas"][1],
            eps=group["eps"], amsgrad=False, **common,
        )  # fmt: skip
