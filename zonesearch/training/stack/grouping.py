"""Which trainings become one stack: a function of the set of trainings alone, so that every machine forms the same.

Members of a stack share the data, the batches and the optimizer; widths, seeds, rates and schedules are their own. A
stack is bounded on three sides: by the time it takes compared with all that is wanted (so that several workers have
work), by its memory, and by how much of it a processor's cache holds (beyond that, one product for many networks is
no quicker than one for each).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zonesearch.core.trials import Training
from zonesearch.training.settings import Settings

__all__ = ["group", "kind_of", "stack_bytes"]

_SHARES = 8, 64  # of all the work: a stack takes no more than an eighth, and when that is long a sixty-fourth
_SECONDS = 60.0  # is long
_SHORT = 2.0  # seconds: cutting a stack finer than this costs more than an idle worker does
_PARAMETERS = 4_000_000  # in one stack, more than one member
_BYTES = 2_000_000_000  # of a stack in memory


def kind_of(settings: Settings, is_large: bool = False) -> tuple[Any, ...]:
    """What the members of a stack have in common.

    Args:
        settings: with the number of epochs between evaluations.
        is_large: tells what ``auto`` may compute in bfloat16 apart.
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
    )


def stack_bytes(settings: Settings, n_parameters: int) -> int:
    """About what one member takes: weights, gradients, the optimizer's buffers and the best weights so far, and the
    values of its neurons for a batch, forward and back.
    """
    width = 8 if settings.training.precision == "float64" else 4
    return width * (6 * n_parameters + 6 * sum(settings.network.hidden) * max(settings.training.batch, 4096))


def group(
    wanted: Sequence[tuple[Training, Settings]],
    cost: Callable[[Training], float],
    n_parameters: Callable[[Settings], int],
    total: float,
    is_large: Callable[[Training], bool] = lambda training: False,
) -> list[tuple[Training, ...]]:
    """Split stackable trainings into stacks.

    Args:
        wanted: with their settings.
        cost: of one training, in seconds.
        n_parameters: of the network with these settings.
        total: cost of all that is wanted, whether it can be stacked or not.
        is_large: whether a training may be computed in another precision than the small ones (``auto``).

    Returns:
        The members of each stack: those of equal widths together, all seeds of one setting as far as they fit.
    """
    kinds: dict[tuple[Any, ...], list[tuple[Training, Settings]]] = {}
    for training, settings in wanted:
        kinds.setdefault(kind_of(settings, is_large(training)), []).append((training, settings))
    longest = max(_SHORT, min(total / _SHARES[0], max(total / _SHARES[1], _SECONDS)))
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
                if stack and (size[0] > longest or size[1] > _PARAMETERS or size[2] > _BYTES):
                    stacks.append(tuple(stack))
                    stack, size = [], (cost(training), n, stack_bytes(settings, n))
                stack.append(training)
                left = size
        stacks.append(tuple(stack))
    return stacks
