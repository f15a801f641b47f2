"""Train the prior. ``python -m controller.train CORPUS.npz OUT.npz [--without FAMILY ...] [--steps 1000]``.

The marginal likelihood of subsets of each task's settings is climbed: mean network, kernel and noise head together.
Values are standardised over all settings of the task that lie in a box drawn at random, so that the prior knows spaces
of any extent; what a user's task will not tell (numbers of examples, of inputs, ...) is hidden at random. The surfaces
of the tasks themselves are added by :mod:`controller.shapes`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from controller.recorded import CorpusTask, read_corpus, standardised
from controller.shapes import Drawn, draw, fit_shapes
from zonesearch.core.roles import ROLES, canonical
from zonesearch.search.controller.context import N_FEATURES, Context, features

__all__ = ["main", "train"]

Array = npt.NDArray[np.float64]

_HIDDEN, _PHI, _SUBSET, _TASKS = 48, 6, 32, 8
_OF_NETWORK = 0.4  # share of the network's kernel that remains beside the surfaces of tasks
_OF_SCALE = (0.05, 0.15)  # variances of unusual centres and units of a task


def _example(task: CorpusTask, rng: np.random.Generator) -> tuple[Array, Array]:
    """(features, standardised values) of a subset of settings, in a box, at a length, knowing some things."""
    n = len(task.curves)
    epochs = task.curves.shape[2] if rng.random() < 0.5 else int(rng.integers(3, task.curves.shape[2] + 1))
    within = np.ones(n, dtype=bool)
    for axis in rng.permutation(list(task.values))[: int(rng.integers(0, 3))]:
        ranks = np.argsort(np.argsort(task.values[axis])) / n
        share = rng.uniform(0.5, 1.0)
        low = rng.uniform(0, 1 - share)
        narrower = within & (ranks >= low) & (ranks <= low + share)
        within = narrower if narrower.sum() >= 60 else within
    z = standardised(task.best(epochs), within)
    chosen = rng.permutation(np.flatnonzero(within))[:_SUBSET]
    seed = rng.integers(0, z.shape[1], len(chosen))
    values = {role: v[chosen] for role, v in task.values.items()}
    for role, value in task.about["fixed"].items():
        if role in ROLES and role not in values and rng.random() < 0.15:
            values[role] = np.full(len(chosen), float(value))
    about, knows = task.about, rng.random(4) < 0.5
    context = Context(
        about["n_train"] if knows[0] else 0,
        about["n_inputs"] if knows[1] else 0,
        about["n_classes"] if knows[2] else 0,
        about["kind"] if knows[3] else "",
        epochs if rng.random() < 0.6 else 0,
    )
    return features(values, context, task.optimizer, len(chosen)), z[chosen, seed]


class Network(torch.nn.Module):
    """What :class:`zonesearch.search.controller.prior.LearnedPrior` computes, with derivatives."""

    def __init__(self) -> None:
        super().__init__()

        def made(*shape: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.randn(*shape, dtype=torch.float64) / shape[0] ** 0.5)

        self.w1, self.w2 = made(N_FEATURES, _HIDDEN), made(_HIDDEN, _HIDDEN)
        self.mean_w, self.phi_w, self.noise_w = made(_HIDDEN, 1), made(_HIDDEN, _PHI), made(_HIDDEN, 1)
        zero = torch.zeros
        self.b1, self.b2 = (torch.nn.Parameter(zero(_HIDDEN, dtype=torch.float64)) for _ in range(2))
        self.mean_b, self.phi_b = (torch.nn.Parameter(zero(k, dtype=torch.float64)) for k in (1, _PHI))
        self.noise_b = torch.nn.Parameter(torch.full((1,), -2.5, dtype=torch.float64))
        self.log_scales = torch.nn.Parameter(torch.full((len(ROLES),), 0.3, dtype=torch.float64))
        self.log_variances = torch.nn.Parameter(torch.log(torch.tensor([0.3, 0.2, 0.1, 0.05], dtype=torch.float64)))

    def loss(self, x: Tensor, z: Tensor, dropout: float) -> Tensor:
        """The mean negative log likelihood of a value; shapes (tasks, n, N_FEATURES) and (tasks, n)."""
        hidden = torch.tanh(x @ self.w1 + self.b1)
        if dropout:
            hidden = torch.nn.functional.dropout(hidden, dropout)
        hidden = torch.tanh(hidden @ self.w2 + self.b2)
        mean = (hidden @ self.mean_w + self.mean_b)[..., 0]
        noise = torch.exp(torch.clamp(hidden @ self.noise_w + self.noise_b, -9, 2))[..., 0]
        phi = hidden @ self.phi_w + self.phi_b
        deep, plain, offset, slope = torch.exp(self.log_variances)
        canonical_values = x[..., : 2 * len(ROLES) : 2] / torch.exp(self.log_scales)
        r = torch.sqrt(5 * _squares(canonical_values) + 1e-12)
        K = deep * torch.exp(-0.5 * _squares(phi)) + plain * (1 + r + r * r / 3) * torch.exp(-r)
        K = K + offset + slope * mean[..., :, None] * mean[..., None, :] + torch.diag_embed(noise + 1e-6)
        L = torch.linalg.cholesky(K)
        reduced = torch.linalg.solve_triangular(L, (z - mean)[..., None], upper=False)[..., 0]
        log = 0.5 * (reduced**2).sum(-1) + torch.log(torch.diagonal(L, dim1=-2, dim2=-1)).sum(-1)
        return (log / z.shape[-1]).mean()

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """As the package reads them."""
        found = {name: p.detach().numpy() for name, p in self.named_parameters()}
        found["scales"], found["variances"] = np.exp(found.pop("log_scales")), np.exp(found.pop("log_variances"))
        return {name: value.astype(np.float32) for name, value in found.items()}


def _squares(a: Tensor) -> Tensor:
    return ((a[..., :, None, :] - a[..., None, :, :]) ** 2).sum(-1)


def train(
    tasks: Sequence[CorpusTask], steps: int, seed: int = 0, say: Any = print, surfaces: Drawn | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the prior.

    Args:
        tasks: what it learns from.
        steps, seed: of the network of mean and kernel.
        say: like ``print``.
        surfaces: those of at least these tasks at some settings; made from the tasks by default.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=0.02)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    recent: list[float] = []
    for step in range(steps):
        drawn = [_example(tasks[i], rng) for i in rng.permutation(len(tasks))[:_TASKS]]
        x = torch.from_numpy(np.stack([d[0] for d in drawn]))
        z = torch.from_numpy(np.stack([d[1] for d in drawn]))
        loss = network.loss(x, z, 0.1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        rates.step()
        recent.append(loss.item())
        if (step + 1) % 500 == 0:
            say(f"step {step + 1}: {np.mean(recent[-500:]):.3f} nats a value", flush=True)
    roles = sorted({role for task in tasks for role in task.values} | {"epochs"})
    about = {
        "version": 1,
        "roles": roles,
        "tasks": len(tasks),
        "n_trainings": sum(t.curves.shape[0] * t.curves.shape[1] for t in tasks),
    }
    ranges = np.full((len(tasks), len(ROLES), 2), np.nan, dtype=np.float32)
    for i, task in enumerate(tasks):
        score = np.nan_to_num(task.best(task.curves.shape[2])).mean(1)
        top = score >= np.quantile(score, 0.9)
        for role, values in task.values.items():
            all_of_them = canonical(role, values)
            low, high = np.quantile(all_of_them[top], [0.1, 0.9])
            rim = 0.15 * np.ptp(all_of_them)  # what is best near a rim may be best beyond it
            low = -9.0 if low < all_of_them.min() + rim else low
            ranges[i, list(ROLES).index(role)] = low, 9.0 if high > all_of_them.max() - rim else high
    arrays = network.arrays()
    arrays["variances"] = np.array([*_OF_NETWORK * arrays["variances"][:2], *_OF_SCALE], dtype=np.float32)
    return {
        **arrays,
        **fit_shapes(tasks, surfaces or draw(tasks), seed=seed),
        "task_optimizers": np.array([task.optimizer for task in tasks], dtype=np.float32),
        "task_ranges": ranges,
        "about": np.asarray(json.dumps(about)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, metavar="CORPUS.npz")
    parser.add_argument("out", type=Path, metavar="OUT.npz")
    parser.add_argument("--without", nargs="+", default=[], metavar="FAMILY", help="data sets that are left out")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    start = time.perf_counter()
    tasks = read_corpus(wanted.corpus, wanted.without)
    np.savez_compressed(wanted.out, **train(tasks, wanted.steps, wanted.seed))
    size, seconds = wanted.out.stat().st_size / 1000, time.perf_counter() - start
    print(f"{wanted.out}: {len(tasks)} tasks, {size:.0f} kB, {seconds:.0f} s")


if __name__ == "__main__":
    main()
