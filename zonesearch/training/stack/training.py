"""Trainings as stacks, from their beginning to their trials."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from zonesearch.core.trials import Training, Trial
from zonesearch.training.data import Split
from zonesearch.training.early_stopping import EarlyStopping
from zonesearch.training.loop import where_computed
from zonesearch.training.memory import is_out_of_memory
from zonesearch.training.networks import n_parameters
from zonesearch.training.numerics import arithmetic
from zonesearch.training.settings import Settings
from zonesearch.training.stack.members import Member, products
from zonesearch.training.stack.stack import Prepared, Stack
from zonesearch.training.states import States

__all__ = ["train_stack"]

Wanted = tuple[Training, Settings, EarlyStopping | None]

Keep = Callable[[Training, nn.Module], None]


def train_stack(
    wanted: Sequence[Wanted],
    data: Split,
    study_seed: int,
    report: Callable[[float], None],
    states: States | None = None,
    keep: Keep | None = None,
    seen: Split | None = None,
) -> Iterator[Trial]:
    """Train networks together; what comes of each is what the reference loop would give, within rounding.

    Members that have ended leave; the rest goes on without them. Trainings whose schedules do not look at
    the length go on where a shorter one was kept in ``states``. A stack that does not fit into memory is halved.

    Args:
        wanted: trainings with their settings, alike in all that ``grouping.kind_of`` names.
        data: on the device where they are to be trained.
        study_seed: the seed of the study.
        report: called with the completed fraction.
        states: where states of finished trainings are kept; none by default.
        keep: called with the network of each complete training that measures the test split.
        seen: what stands in for the examples, if anything: features on which heads are trained, or several versions
            of each example, of which each epoch sees the next one.

    Returns:
        A trial for each, as they end.
    """
    left = {each[0]: each for each in wanted}
    try:
        for trial in _train(wanted, data, study_seed, report, states, keep, seen):
            del left[trial.training]
            yield trial
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or len(left) == 1:
            raise
        again = list(left.values())
        gc.collect()  # the stack that failed
    else:
        return
    half = len(again) // 2
    for part in (again[:half], again[half:]):
        yield from train_stack(part, data, study_seed, report, states, keep, seen)


@torch.no_grad()
def _train(
    wanted: Sequence[Wanted],
    data: Split,
    study_seed: int,
    report: Callable[[float], None],
    states: States | None = None,
    keep: Keep | None = None,
    seen: Split | None = None,
) -> Iterator[Trial]:
    device = data.train[0].device
    precision = wanted[0][1].training.precision
    prepared = Prepared.of(seen or data, precision, len(data.train[1]))
    members = [Member.of(*each, data) for each in wanted]
    kept = {}
    for member in members:
        state = states.load(member.training) if states is not None and not member.schedule.uses_horizon else None
        if state is not None:
            member.curve.update(state["curve"])
            kept[id(member)] = state
    n_epochs = sum(member.training.epochs for member in members)
    stacks: list[Stack] = []
    with arithmetic(precision, device), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for grid in products(members):
            stack = Stack.fresh(grid, data, prepared, study_seed)
            for place, member in stack.places():
                if id(member) in kept:
                    stack.resume(*place, kept.pop(id(member)))
            stacks.append(stack)
    weight = {
        id(m): n_parameters(m.settings.network, data.shape, data.n_outputs) / 1e6 + 0.01 for m in members
    }  # of the time of a stack, each member is charged in proportion to its size
    while stacks:
        left = []
        for stack in stacks:
            with arithmetic(precision, device, stack.layout.n_numbers):
                start = time.perf_counter()
                _epoch(stack, states)
                seconds = time.perf_counter() - start
            total = sum(weight[id(member)] for _, member in stack.places())
            ended = []
            for place, member in stack.places():
                member.seconds += seconds * weight[id(member)] / total
                if member.state != "running":
                    ended.append((place, member))
            with arithmetic(precision, device, stack.layout.n_numbers):
                trials = [_trial(stack, place, member, data, states) for place, member in ended]
                for _, member in ended if keep is not None else ():
                    if member.state == "complete" and member.training.test and member.tested is not None:
                        keep(member.training, member.tested.module(member.settings, data))  # type: ignore[misc]
            yield from trials
            if not ended:
                left.append(stack)
            elif len(ended) < stack.layout.n_members:
                left += [stack.part(grid) for grid in products(m for _, m in stack.places() if m.state == "running")]
            if ended:
                stack.close()
        stacks = left
        done = sum(m.n_epochs if m.state == "running" else m.training.epochs for m in members)
        report(done / n_epochs)


def _epoch(stack: Stack, states: States | None) -> None:
    train_loss, train_accuracy, rates = stack.epoch()
    validated: list[tuple[float, float]] = []
    if any(member.is_due for _, member in stack.places()):
        loss, accuracy, right = stack.evaluate()  # of all: what is not due costs nothing beside what is
        validated = list(zip(accuracy, loss, strict=True))
    for place, member in stack.places():
        row = stack.layout.row(*place)
        trained = train_accuracy[row], train_loss[row], rates[row]
        better = member.note(trained, validated[row] if member.is_due else None)
        if better:
            member.right = right[row]
        keep = member.training.test or states is not None
        if keep and member.state != "diverged" and (better or member.settings.training.tested == "last"):
            member.tested = stack.snapshot(*place)


def _trial(stack: Stack, place: tuple[int, int], member: Member, data: Split, states: States | None) -> Trial:
    training, complete = member.training, member.state == "complete"
    reached = complete and member.n_epochs == training.epochs and not member.stopped
    if reached and states is not None and not member.schedule.uses_horizon:
        states.save(training, stack.state(*place))
    device, precision = data.train[0].device, member.settings.training.precision
    test_accuracy, test_right = stack.test(member) if complete and training.test else (None, b"")
    return Trial(
        training=training,
        state="complete" if complete else "diverged",
        accuracy=max(member.curve["validation_accuracy"]) if complete else None,
        curve=member.curve,
        test_accuracy=test_accuracy,
        seconds=member.seconds,
        n_parameters=n_parameters(member.settings.network, data.shape, data.n_outputs),
        n_validation=len(data.validation[1]),
        n_test=len(data.test[1]),
        provenance={**where_computed(device, precision), "stacked": True},
        right=member.right if complete else b"",
        test_right=test_right,
        evaluated_every=member.every,
    )
