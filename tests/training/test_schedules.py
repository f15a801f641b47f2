"""Schedules against the formulas of their sources, and against torch's own where it has one."""

from __future__ import annotations

import math
import re
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zonesearch.cli.schedule_command import picture
from zonesearch.errors import StudyError
from zonesearch.statistics.lr_range import sweep_rates
from zonesearch.training.schedules import Plateau, Preview, Schedule, Sweep, Triangular, Warmup, parse, preview
from zonesearch.training.schedules.members import members
from zonesearch.training.schedules.parsing import known_schedules

EVERY = [
    "constant",
    "step(every=7, factor=0.5)",
    "plateau(patience=3)",
    "plateau(patience=10, factor=0.5)",
    "linear",
    "linear(length=4)",
    "exponential",
    "cosine",
    "cosine(length=5, low=0.001)",
    "onecycle",
    "triangular(low=0.01, high=0.1, half_cycle=2)",
    "triangular2(low=0.01, high=0.1, half_cycle=2)",
    "exp_range(low=0.01, high=0.1, half_cycle=2, gamma=0.99)",
    "sgdr(low=0.001, period=2, multiply=2, decay=1.0)",
    "snapshot(cycles=3)",
    "fge(low=0.0005, high=0.05)",
    "swa(low=0.01)",
    "swa(low=0.01, cycle=1)",
    "sweep(low=0.001, high=0.1, n_steps=20)",
    "sweep(low=0.001, high=0.1, n_steps=20, kind='linear')",
    "warmup(epochs=2, then=sgdr(low=0.001, period=2, multiply=2, decay=0.5))",
]


@pytest.mark.parametrize("spec", EVERY)
def test_a_schedule_reads_back_what_it_prints(spec: str) -> None:
    schedule = parse(spec)
    assert parse(str(schedule)) == schedule
    assert hash(schedule) == hash(parse(str(schedule)))


@pytest.mark.parametrize("spec", EVERY)
@given(base=st.floats(1e-4, 1.0), epochs=st.integers(1, 12), steps_per_epoch=st.integers(1, 9))
def test_rates_are_finite_and_never_negative(spec: str, base: float, epochs: int, steps_per_epoch: int) -> None:
    rates = preview(parse(spec), epochs, steps_per_epoch, base)
    assert len(rates) == epochs * steps_per_epoch
    assert all(0 <= rate <= max(base, 0.1) * (1 + 1e-12) for rate in rates)


@pytest.mark.parametrize("spec", EVERY)
def test_rates_of_a_fixed_length_are_those_of_a_longer_training(spec: str) -> None:
    """A schedule that does not look at the horizon makes a short training the beginning of a long one."""
    schedule = parse(spec)
    short, long = preview(schedule, 6, 5, 0.1), preview(schedule, 12, 5, 0.1)
    if not schedule.uses_horizon:
        assert short == long[: len(short)]
    else:
        assert short != long[: len(short)]


@pytest.mark.parametrize("spec", [spec for spec in EVERY if not parse(spec).within_epoch])
def test_a_schedule_said_to_move_between_epochs_rests_within_them(spec: str) -> None:
    rates = preview(parse(spec), 8, 4, 0.1, history=[0.5] * 8)
    assert all(len(set(rates[i : i + 4])) == 1 for i in range(0, len(rates), 4))


def test_every_schedule_known_by_name_is_tested() -> None:
    assert set(known_schedules()) == {parse(spec).name for spec in EVERY}


# -- closed forms


def test_step_halves_every_seven_epochs() -> None:
    rates = preview(parse("step(every=7, factor=0.5)"), 22, 3, 0.1)
    assert rates == [0.1 * 0.5 ** (step // 3 // 7) for step in range(66)]


def test_step_takes_fractions_of_an_epoch() -> None:
    assert preview(parse("step(every=0.5)"), 2, 4, 0.8) == [0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1]


def test_linear_and_exponential_follow_their_lines() -> None:
    T = 40
    assert preview(parse("linear"), 10, 4, 0.2) == pytest.approx([0.2 * (1 - t / T) for t in range(T)])
    assert preview(parse("exponential"), 10, 4, 0.2) == pytest.approx([0.2 * math.exp(-t / T) for t in range(T)])
    assert preview(parse("linear(length=5)"), 10, 4, 0.2)[20:] == [0.0] * 20


def test_plateau_halves_after_the_fourth_epoch_of_a_flat_metric() -> None:
    """k = 3: the first accuracy is the best, three more that are no better, then half the rate from the fifth epoch."""
    plateau = parse("plateau(patience=3)")
    assert preview(plateau, 8, 1, 1.0, history=[0.9] * 8) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_plateau_counts_from_the_best_epoch() -> None:
    history = [0.5, 0.6, 0.55, 0.59, 0.61, 0.60, 0.60, 0.60]
    assert preview(parse("plateau(patience=3)"), 9, 1, 1.0, history) == [1] * 8 + [0.5]


def test_sgdr_lengthens_its_cycles_and_lowers_its_peaks() -> None:
    schedule = parse("sgdr(low=0.01, period=2, multiply=2, decay=0.5)")
    peaks = [schedule.rate(1.0, epoch * 10, 10, 30) for epoch in (0, 2, 6, 14)]
    assert peaks == [1.0, 0.5, 0.25, 0.125]
    assert schedule.rate(1.0, 40, 10, 30) == pytest.approx(0.01 + 0.49 * (1 + math.cos(math.pi * 2 / 4)) / 2)


def test_snapshot_follows_its_equation() -> None:
    n_steps, cycles = 7 * 5, 3
    length = math.ceil(n_steps / cycles)
    expected = [0.1 * (math.cos(math.pi * ((t - 1) % length) / length) + 1) for t in range(1, n_steps + 1)]
    assert preview(parse("snapshot(cycles=3)"), 7, 5, 0.2) == pytest.approx(expected)


def test_swa_follows_the_published_protocol() -> None:
    """VGG-16: 0.05 until half of epoch 161, a line to 0.01 at nine tenths of it, then constant, also at 1.5 budgets."""

    def published(epoch: int) -> float:
        t, ratio = epoch / 161, 0.01 / 0.05
        if t <= 0.5:
            return 0.05
        return 0.05 * (1.0 - (1.0 - ratio) * (t - 0.5) / 0.4) if t <= 0.9 else 0.05 * ratio

    schedule = parse("swa(low=0.01, length=200, start=0.805)")
    assert preview(schedule, 300, 1, 0.05) == pytest.approx([published(epoch) for epoch in range(300)])


def test_swa_with_a_cycle_falls_from_high_to_low_in_each() -> None:
    rates = preview(parse("swa(low=0.1, high=0.5, cycle=1, start=0.5)"), 4, 4, 1.0)
    assert rates[8:] == pytest.approx([0.4, 0.3, 0.2, 0.1] * 2)


def test_fge_goes_down_and_up_in_triangles_after_its_checkpoint() -> None:
    rates = preview(parse("fge(low=0.1, high=0.5, cycle=2, start=0.5)"), 8, 4, 1.0)
    n = 2 * 4
    published = []
    for i in range(1, n + 1):
        t = ((i - 1) % n + 1) / n
        published.append((1 - 2 * t) * 0.5 + 2 * t * 0.1 if t <= 0.5 else (2 - 2 * t) * 0.1 + (2 * t - 1) * 0.5)
    assert rates[16:] == pytest.approx(published * 2)


@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_sweep_has_the_rates_of_a_range_test(kind: str) -> None:
    schedule = Sweep(0.001, 1.0, 20, kind)
    assert preview(schedule, 3, 10, 0.5) == pytest.approx([*sweep_rates(0.001, 1.0, 20, kind), *[1.0] * 10])


def test_warmup_rises_to_the_first_rate_and_then_counts_anew() -> None:
    rates = preview(parse("warmup(epochs=2, then=linear)"), 10, 4, 0.8)
    assert rates[:8] == pytest.approx([0.1 * (step + 1) for step in range(8)])
    assert rates[8:] == pytest.approx(preview(parse("linear"), 8, 4, 0.8))


def test_warmup_hides_its_own_epochs_from_a_plateau() -> None:
    rates = preview(parse("warmup(epochs=2, then=plateau(patience=3))"), 8, 1, 1.0, history=[0.9, 0.9] + [0.5] * 6)
    assert rates == [0.5, 1.0, 1, 1, 1, 1, 0.5, 0.5]


def test_warmup_of_an_absolute_schedule_rises_to_its_low_rim() -> None:
    rates = preview(Warmup(1, Triangular(0.2, 0.4, 1)), 3, 2, base=99.0)
    assert rates == pytest.approx([0.1, 0.2, 0.2, 0.3, 0.4, 0.3])


# -- torch's own


def torch_rates(n_steps: int, base: float, make, step=lambda scheduler, i: scheduler.step()) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
    scheduler = make(optimizer)
    rates = []
    for i in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            step(scheduler, i)
    return rates


schedulers = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    ("spec", "make"),
    [
        ("step(every=3, factor=0.3)", lambda o: schedulers.StepLR(o, 15, 0.3)),
        ("linear", lambda o: schedulers.LinearLR(o, 1.0, 0.0, 60)),
        ("exponential", lambda o: schedulers.ExponentialLR(o, math.exp(-1 / 60))),
        ("cosine(low=0.001)", lambda o: schedulers.CosineAnnealingLR(o, 60, 0.001)),
        ("onecycle", lambda o: schedulers.OneCycleLR(o, 0.1, total_steps=61, cycle_momentum=False)),
        ("triangular(0.01, 0.5, 2)", lambda o: schedulers.CyclicLR(o, 0.01, 0.5, 10, cycle_momentum=False)),
        (
            "triangular2(0.01, 0.5, 1)",
            lambda o: schedulers.CyclicLR(o, 0.01, 0.5, 5, mode="triangular2", cycle_momentum=False),
        ),
        (
            "exp_range(0.01, 0.5, 2, 0.97)",
            lambda o: schedulers.CyclicLR(o, 0.01, 0.5, 10, mode="exp_range", gamma=0.97, cycle_momentum=False),
        ),
        (
            "sgdr(low=0.001, period=1, multiply=2)",
            lambda o: schedulers.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
        ),
        ("warmup(epochs=2)", lambda o: schedulers.LinearLR(o, 1 / 10, 1.0, 9)),
    ],
)
def test_rates_equal_those_of_torch(spec: str, make) -> None:
    n_steps = 60
    rates = preview(parse(spec), 12, 5, 0.1)
    if spec == "onecycle":  # torch wants one step more than it takes when it is stepped after the last one, too
        rates = [parse(spec).rate(0.1, step, 61, 1) for step in range(n_steps)]
    assert rates == pytest.approx(torch_rates(n_steps, 0.1, make), abs=1e-12)


@given(st.lists(st.sampled_from([0.1, 0.5, 0.50005, 0.6, 0.9]), min_size=1, max_size=40), st.integers(1, 5))
def test_plateau_equals_torch_with_a_patience_one_shorter(history: list[float], patience: int) -> None:
    rates = preview(Plateau(patience), len(history), 1, 0.1, history)
    theirs = torch_rates(
        len(history),
        0.1,
        lambda o: schedulers.ReduceLROnPlateau(
            o, mode="max", factor=0.5, patience=patience - 1, threshold_mode="abs", eps=0
        ),
        lambda scheduler, i: scheduler.step(history[i]),
    )
    assert rates == pytest.approx(theirs)


# -- what is wrong is said


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("stpe(every=7)", 'unknown schedule "stpe"; did you mean "step"?'),
        ("step(evry=7)", 'schedule "step" has no argument "evry"; did you mean "every"?'),
        ("step(every=0)", 'schedule "step": every must be a number above 0, not 0'),
        ("step(every='7')", "every must be a number above 0, not '7'"),
        ("step(every=True)", "every must be a number above 0, not True"),
        ("triangular(low=0.1)", 'schedule "triangular" needs high'),
        ("triangular(low=0.1, high=0.01)", "high must be at least low, but 0.01 < 0.1"),
        ("step(7, every=8)", "every is given twice"),
        ("step(1, 2, 3)", 'schedule "step" takes every and factor, but'),
        ("step(every=1+1)", "1 + 1 is neither a value nor a schedule"),
        ("warmup(epochs=1, then=3)", "then must be a schedule"),
        ("0.5", "is neither a name nor a call"),
        ("a.b(1)", "is neither a name nor a call"),
        ("__import__('os')", 'unknown schedule "__import__"'),
        ("snapshot(cycles=2.5)", "cycles must be a whole number"),
    ],
)
def test_a_wrong_specification_is_a_clear_error(spec: str, said: str) -> None:
    with pytest.raises(StudyError) as error:
        parse(spec)
    assert said in str(error.value)


def test_a_schedule_is_abstract() -> None:
    with pytest.raises(TypeError):
        Schedule()  # type: ignore[abstract]


def test_preview_shows_every_rate_with_the_full_specification() -> None:
    shown = Preview.of("step(every=1)", 3, 2, 0.4)
    assert shown.describe()["learning_rates"] == [0.4, 0.4, 0.2, 0.2, 0.1, 0.1]
    assert picture(shown).splitlines()[0] == "step(every=1, factor=0.5)"
    assert "epoch 0" in picture(shown)
    assert "validation accuracy" in Preview.of("plateau", 3, 2, 0.4).note


@pytest.mark.parametrize(
    "arguments", [("step", 0, 2, 0.1), ("step", 2, 0, 0.1), ("step", 2, 2, 0.0), ("stp", 2, 2, 0.1)]
)
def test_preview_refuses_what_makes_no_training(arguments) -> None:
    with pytest.raises(StudyError):
        Preview.of(*arguments)


# -- where members are stored


def height(spec: str, epoch: int, epochs: int, steps_per_epoch: int = 20, base: float = 0.1) -> float:
    """The rate at the end of an epoch, as a share of the highest within an epoch and a half around it and before."""
    rates = preview(parse(spec), epochs, steps_per_epoch, base)
    last = epoch * steps_per_epoch - 1
    around = rates[max(0, last - 5 * steps_per_epoch) : last + steps_per_epoch]
    return (rates[last] - min(around)) / (max(around) - min(around))


@pytest.mark.parametrize(
    ("spec", "epochs", "expected"),
    [
        ("snapshot(cycles=5)", 24, (4, 9, 14, 19, 24)),
        ("snapshot(cycles=4)", 24, (6, 12, 18, 24)),
        ("sgdr(period=2.5)", 11, (2, 5, 7, 10)),
        ("sgdr(period=4, multiply=1.5)", 40, (4, 10, 19, 32)),
        ("triangular(0.001, 0.1, 1.5)", 10, (3, 6, 9)),
        ("fge(low=0.0005, start=0.75)", 24, (19, 21, 23)),
        ("swa(low=0.001, cycle=3)", 24, (21, 24)),
        ("warmup(2, then=snapshot(cycles=4))", 24, (7, 13, 18, 24)),
    ],
)
def test_members_stand_at_the_low_end_of_their_cycle(spec: str, epochs: int, expected: tuple[int, ...]) -> None:
    """Rounded to the nearest epoch they stood just after a restart, at the full rate."""
    assert members(parse(spec), epochs, 20, 0.1) == expected
    assert all(height(spec, epoch, epochs) <= 0.125 for epoch in expected)


@pytest.mark.parametrize(
    ("spec", "epochs", "fitting"),
    [
        ("snapshot(cycles=10)", 24, "snapshot(cycles=12)"),
        ("snapshot(cycles=30)", 24, "snapshot(cycles=24)"),
        ("sgdr(period=0.7)", 20, "sgdr(low=0.0, period=1, multiply=1, decay=1.0)"),
        ("triangular(0.001, 0.1, 1.75)", 21, "triangular(low=0.001, high=0.1, half_cycle=2.0)"),
        ("fge(low=0.0005)", 24, "fge(low=0.0005, high=0.05, cycle=2, start=0.7917)"),
        ("swa(low=0.01, cycle=2.5)", 40, "swa(low=0.01, start=0.75, cycle=3)"),
        ("warmup(2.5, then=fge(low=0.0005, start=0.5))", 24, None),
    ],
)
def test_cycles_that_end_between_epochs_are_refused_with_the_nearest_that_fit(
    spec: str, epochs: int, fitting: str | None
) -> None:
    with pytest.raises(StudyError) as refused:
        members(parse(spec), epochs, 20, 0.1)
    said = re.search('the nearest that fits is "(.*)"', str(refused.value))
    assert said is not None
    assert fitting in (None, said[1])
    assert members(parse(said[1]), epochs, 20, 0.1)


@given(cycles=st.integers(1, 30), epochs=st.integers(1, 60), steps_per_epoch=st.integers(1, 40))
def test_members_of_any_snapshots_are_low_or_refused(cycles: int, epochs: int, steps_per_epoch: int) -> None:
    schedule = parse(f"snapshot(cycles={cycles})")
    try:
        found = members(schedule, epochs, steps_per_epoch, 1.0)
    except StudyError:
        return
    assert found is not None
    assert len(found) == cycles
    assert found[-1] == epochs
    rates = preview(schedule, epochs, steps_per_epoch, 1.0)
    starts = [0, *(epoch * steps_per_epoch for epoch in found[:-1])]
    for start, epoch in zip(starts, found, strict=True):
        cycle = rates[start : epoch * steps_per_epoch]
        assert cycle[-1] <= min(cycle) + 0.125 * (max(rates) - min(cycle)) + 1e-12


CYCLES = [
    "triangular(0.001, 0.1, {0})",
    "triangular2(0.001, 0.1, {0})",
    "fge(low=0.001, high=0.1, cycle={0}, start=0.5)",
    "swa(low=0.001, cycle={0}, start=0.5)",
    "sgdr(period={0})",
    "warmup(1, then=triangular(0.001, 0.1, {0}))",
]


@given(
    spec=st.sampled_from(CYCLES),
    length=st.sampled_from([0.5, 0.75, 1, 1.25, 1.5, 2, 3]),
    epochs=st.integers(4, 30),
    steps_per_epoch=st.integers(1, 9),
)
def test_members_are_low_or_refused_where_an_epoch_has_few_steps(
    spec: str, length: float, epochs: int, steps_per_epoch: int
) -> None:
    """With two steps in a triangle every member stood at its top, the only rate that its fall had."""
    schedule = parse(spec.format(length))
    try:
        found = members(schedule, epochs, steps_per_epoch, 0.1)
    except StudyError:
        return
    assert found is not None
    rates = preview(schedule, epochs, steps_per_epoch, 0.1)
    for (peak, low), epoch in zip(schedule.falls(epochs) or (), found, strict=True):
        first, last = math.floor(peak * steps_per_epoch + 1e-9), math.ceil(low * steps_per_epoch - 1e-9)
        fall = rates[first : last + 1]
        after = rates[epoch * steps_per_epoch - 1]
        assert after <= min(fall) + (max(fall) - min(fall)) / 2 + 1e-9


@pytest.mark.parametrize(
    ("spec", "steps_per_epoch"),
    [("fge(low=0.001, high=0.1, cycle=1, start=0.5)", 2), ("triangular(0.001, 0.1, 1)", 1), ("snapshot(cycles=5)", 1)],
)
def test_cycles_of_few_steps_are_refused(spec: str, steps_per_epoch: int) -> None:
    with pytest.raises(StudyError, match="where its rate is not low"):
        members(parse(spec), 12, steps_per_epoch, 0.1)


def test_a_schedule_without_cycles_names_no_members() -> None:
    assert members(parse("cosine"), 10, 5, 0.1) is None
    assert members(parse("sgdr(period=12)"), 10, 5, 0.1) == ()
    assert members(parse("swa(low=0.01, start=0.55)"), 10, 5, 0.1) == (6, 7, 8, 9, 10)


def test_a_warmup_into_a_range_test_is_refused() -> None:
    with pytest.raises(StudyError, match="then may be any schedule but a sweep"):
        parse("warmup(1, then=sweep)")
