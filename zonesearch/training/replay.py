"""A step recorded once as a CUDA graph and replayed: on a GPU a small network's step is over sooner than a host can
launch its kernels one by one.

A recorded step reads and writes the same memory each time. So what differs between steps stands in tables on the
device, a row for each step, and the step itself counts which row is its own: the host says only how often.
(https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs)
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["EAGER", "Replay", "Tables", "is_worth"]

EAGER = 3
"""Steps that are taken one by one before the next one is recorded: libraries and optimizers make their memory there."""
_WORTH = 100  # steps: for fewer, recording costs more than it saves
_RECORDS = ("cuda",)  # kinds of devices; tests have others take their steps by the same road, without a recording


def is_worth(n_steps: int, weights: Tensor) -> bool:
    """Whether to record the step of a training that has ``n_steps`` to go; rates of float64 are not kept exactly."""
    return weights.device.type in _RECORDS and weights.dtype == torch.float32 and n_steps >= _WORTH


class Tables:
    """What differs between the steps of an epoch: which examples, which learning rates.

    Args:
        n_steps: at most, in one go.
        n_examples: of each step.
        n_rates: of each step, one for every group of parameters.
        device: where the steps are computed.
    """

    def __init__(self, n_steps: int, n_examples: int, n_rates: int, device: torch.device) -> None:
        self.examples = torch.zeros(n_steps, n_examples, dtype=torch.int64, device=device)
        self.rates = torch.zeros(n_steps, n_rates, device=device)
        self.at = torch.zeros(1, dtype=torch.int64, device=device)

    def fill(self, examples: Tensor, rates: Sequence[Sequence[float]]) -> None:
        """Rows for the next steps, the first of which is row 0.

        Args:
            examples: (steps, examples) indices.
            rates: for each step, of every group.
        """
        n = len(examples)
        self.examples[:n].copy_(examples)
        same = all(each == rates[0] for each in rates)
        table = torch.tensor(rates[:1] if same else rates)
        self.rates[:n].copy_(table.to(self.rates.device).expand(n, -1))
        self.at.zero_()

    @property
    def now(self) -> tuple[Tensor, Tensor]:
        """The indices, of shape (examples,), and the rates, of shape (groups,), of the step under way."""
        return self.examples.index_select(0, self.at)[0], self.rates.index_select(0, self.at)[0]

    def next(self) -> None:
        """The step is over."""
        self.at.add_(1)


@contextmanager
def _nothing_destroyed() -> Iterator[None]:
    """No garbage collection: the end of another recording would spoil the one under way."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Replay:
    """A step that can be repeated.

    Args:
        step: takes nothing and gives nothing; all that it reads and writes must stay where it is. On a GPU it is
            recorded, and not taken yet; elsewhere it is called each time, which is for tests.
        device: where it computes.
        generators: on that device, which it draws from.
    """

    def __init__(self, step: Callable[[], None], device: torch.device, generators: Iterable[torch.Generator] = ()):
        self._step = step
        self._graph: torch.cuda.CUDAGraph | None = None
        if device.type == "cuda":
            self._graph = torch.cuda.CUDAGraph()
            for generator in generators:
                self._graph.register_generator_state(generator)
            with _nothing_destroyed(), torch.cuda.graph(self._graph):
                step()

    def take(self, n_steps: int) -> None:
        """Take the step ``n_steps`` times."""
        once = self._step if self._graph is None else self._graph.replay
        for _ in range(n_steps):
            once()
