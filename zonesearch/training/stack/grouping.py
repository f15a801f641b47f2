"""Which trainings form a stack: a function of the set of trainings alone, so that every machine forms the same stacks.

Members of a stack share the data, the batches and the optimizer; widths, seeds, rates and schedules may differ. The
size of a stack is limited in three ways: by its time as a fraction of all the work (so that several workers have work),
by its memory, and by what fits in a CPU's cache (beyond that, one product for many networks is no faster than one for
each). These limits are meant for CPUs and are the same on every machine, since work is assigned to shards by them. A
machine with a GPU regroups its own jobs by its own limits (:mod:`zonesearch.training.gpu`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zonesearch.core.trials import Training
from zonesearch.training.settings import Settings

__all__ = ["Limits", "group", "kind_of", "stack_bytes"]

_SHARES = 16, 64  # of all the work: a stack takes at most a sixteenth, or a sixty-fourth if that is long
_SECONDS = 60.0  # is long
_SHORT = 2.0  # seconds: splitting a stack finer than this costs more than an idle worker does
_PARAMETERS = 4_000_000  # in a stack of more than one member
_BYTES = 2_000_000_000  # memory of a stack


@dataclass(frozen=True)
class Limits:
    """The largest size of a stack with more than one member.

    Args:
        seconds: its cost, in the unit of the costs passed to :func:`group`.
        parameters: weights and biases of all members.
        n_bytes: memory, as estimated by :func:`stack_bytes`.
    """

    seconds: float
    parameters: int
    n_bytes: int

    @classmethod
    def of_processor(cls, total: float) -> Limits:
        """The limits for CPUs, the same on every machine.

        Args:
            total: cost of all wanted trainings, stackable or not.
        """
        longest = max(_SHORT, min(total / _SHARES[0], max(total / _SHARES[1], _SECONDS)))
        return cls(longest, _PARAMETERS, _BYTES)


def kind_of(settings: Settings, is_large: bool = False) -> tuple[Any, ...]:
    """What the members of a stack must have in common.

    Args:
        settings: with the number of epochs between evaluations filled in.
        is_large: separates trainings that ``auto`` may compute in bfloat16.
    """
    network, training = settings.network, settings.training
    return (
        training.batch,
        training.steps_per_epoch,
        training.evaluate_every,
        training.precision,
        is_large,
        settings.optimizer.name,
        network.activation,
        network.batch_norm,
        len(network.hidden),
        settings.augmentation or None,
    )


def stack_bytes(settings: Settings, n_parameters: int) -> int:
    """Estimated memory of one member: weights, gradients, the optimizer's buffers, the best weights so far, and the
    activations and their gradients for a batch.
    """
    width = 8 if settings.training.precision == "float64" else 4
    return width * (6 * n_parameters + 6 * sum(settings.network.hidden) * max(settings.training.batch, 4096))


def group(
    wanted: Sequence[tuple[Training, Settings]],
    cost: Callable[[Training], float],
    n_parameters: Callable[[Settings], int],
    limits: Limits,
    is_large: Callable[[Training], bool] = lambda training: False,
) -> list[tuple[Training, ...]]:
    """Split stackable trainings into stacks.

    Args:
        wanted: trainings with their settings.
        cost: of one training, in seconds.
        n_parameters: of the network with these settings.
        limits: of a stack.
        is_large: whether a training may be computed in a different precision than small ones (``auto``).

    Returns:
        The members of each stack: equal widths together, and all seeds of one setting as far as they fit.
    """
    kinds: dict[tuple[Any, ...], list[tuple[Training, Settings]]] = {}
    for training, settings in wanted:
        kinds.setdefault(kind_of(settings, is_large(training)), []).append((training, settings))
    stacks: list[tuple[Training, ...]] = []
    for members in kinds.values():
        columns: dict[Any, list[tuple[Training, Settings]]] = {}
        for training, settings in members:
            columns.setdefault(training.identity[0], []).append((training, settings))
        ordered = sorted(
            columns.values(), key=lambda column: (column[0][1].network.hidden, min(t.key for t, _ in column))
        )
        stack: list[Training] = []
        left = (0.0, 0, 0)
        for column in ordered:
            for training, settings in sorted(column, key=lambda pair: pair[0].seed):
                n = n_parameters(settings)
                size = (left[0] + cost(training), left[1] + n, left[2] + stack_bytes(settings, n))
                if stack and (size[0] > limits.seconds or size[1] > limits.parameters or size[2] > limits.n_bytes):
                    stacks.append(tuple(stack))
                    stack, size = [], (cost(training), n, stack_bytes(settings, n))
                stack.append(training)
                left = size
        stacks.append(tuple(stack))
    return stacks
