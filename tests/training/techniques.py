"""A small network on real digits, and the shortest loop that calls the hooks of techniques."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from zonesearch.training.schedules import parse
from zonesearch.training.technique import Hooks, Run, judged


@cache
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training inputs and labels (1200), validation inputs and labels (597)."""
    data = load_digits()
    inputs, labels = torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    inputs, labels = inputs[order], labels[order]
    return inputs[:1200], labels[:1200], inputs[1200:], labels[1200:]


def small_network(seed: int = 0, batch_norm: bool = False, width: int = 16) -> nn.Sequential:
    torch.manual_seed(seed)
    norm = [nn.BatchNorm1d(width)] if batch_norm else []
    return nn.Sequential(nn.Linear(64, width), *norm, nn.ReLU(), nn.Linear(width, 10))


def a_run(network: nn.Module | None = None, *, epochs: int = 4, rate: float = 0.1, schedule: str = "constant") -> Run:
    network = small_network() if network is None else network
    inputs, labels, _, _ = digits()
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    generator = torch.Generator().manual_seed(7)
    return Run(
        network, optimizer, nn.functional.cross_entropy, inputs, labels, 50, epochs, parse(schedule), generator, rate
    )


def train(run: Run, hooks: Sequence[Hooks] = (), each_epoch: Callable[[Run], None] = lambda run: None) -> list[float]:
    """Train to the end; validation accuracies of what the hooks say is to be judged."""
    _, _, inputs, labels = digits()
    order = torch.Generator().manual_seed(1)
    history: list[float] = []
    base = run.learning_rate
    for epoch in range(run.epochs):
        run.epoch = epoch
        if not any(hook.instead_of_epoch(run) for hook in hooks):
            run.network.train()
            steps = len(run.inputs) // run.batch
            for i, chosen in enumerate(torch.randperm(len(run.inputs), generator=order).split(run.batch)):
                rate = run.schedule.rate(base, epoch * steps + i, steps, run.epochs, history)
                for group in run.optimizer.param_groups:
                    group["lr"] = rate
                run.optimizer.zero_grad()
                run.loss(run.network(run.inputs[chosen]), run.labels[chosen]).backward()
                for hook in hooks:
                    hook.before_step(run)
                run.optimizer.step()
                run.step += 1
        run.epoch = epoch + 1
        for hook in hooks:
            hook.after_epoch(run)
        each_epoch(run)
        network = judged(hooks, run).eval()
        with torch.no_grad():
            history.append(float((network(inputs).argmax(1) == labels).float().mean()))
    return history
