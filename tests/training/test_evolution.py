"""Evolution phases: a hand computation on tiny networks, and the promises that hold on real digits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parameters_to_vector

from tests.training.techniques import a_run, digits, small_network, train
from zonesearch.core.objective import Job
from zonesearch.core.trials import Training
from zonesearch.errors import StudyError
from zonesearch.training.evolution import RandomGradients, Strategies, evolution_from_table
from zonesearch.training.evolution.children import Judge, same_norm
from zonesearch.training.evolution.strategies import normalised
from zonesearch.training.gradient_noise import GradientNoise
from zonesearch.training.recipe import Recipe


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def judge_on_digits(network: nn.Module, n: int = 300) -> Judge:
    inputs, labels, _, _ = digits()
    return Judge(network, nn.functional.cross_entropy, inputs[:n], labels[:n], batch=128)


def tiny() -> tuple[nn.Module, Judge]:
    """Two weights, no bias, two classes: outputs (w0 x, w1 x) for a number x."""
    network = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.2], [-0.1]]))
    inputs, labels = torch.tensor([[1.0], [2.0], [-1.0]]), torch.tensor([0, 1, 1])
    return network, Judge(network, nn.functional.cross_entropy, inputs, labels)


def tiny_loss(w0: float, w1: float) -> float:
    total = 0.0
    for x, label in [(1.0, 0), (2.0, 1), (-1.0, 1)]:
        z = [w0 * x, w1 * x]
        total += math.log(math.exp(z[0]) + math.exp(z[1])) - z[label]
    return total / 3


def tiny_gradient(w0: float, w1: float) -> list[float]:
    gradient = [0.0, 0.0]
    for x, label in [(1.0, 0), (2.0, 1), (-1.0, 1)]:
        z = [w0 * x, w1 * x]
        total = math.exp(z[0]) + math.exp(z[1])
        for k in range(2):
            gradient[k] += (math.exp(z[k]) / total - (k == label)) * x / 3
    return gradient


# -- judging


@pytest.mark.parametrize("batch_norm", [False, True])
def test_judge_agrees_with_every_child_judged_alone(batch_norm: bool) -> None:
    network = small_network(batch_norm=batch_norm)
    judge = judge_on_digits(network)
    children = judge.weights() + 0.1 * torch.randn(5, len(judge.weights()), generator=generator())
    losses, accuracies = judge(children)
    inputs, labels = digits()[0][:300], digits()[1][:300]
    for child, loss, accuracy in zip(children, losses, accuracies, strict=True):
        judge.settle(child)
        outputs = network.eval()(inputs)
        assert loss == pytest.approx(nn.functional.cross_entropy(outputs, labels).item(), rel=1e-5)
        assert accuracy == pytest.approx((outputs.argmax(1) == labels).float().mean().item())


def test_judge_gradient_equals_that_of_one_backward_pass() -> None:
    network = small_network()
    inputs, labels = digits()[0][:300], digits()[1][:300]
    nn.functional.cross_entropy(network(inputs), labels).backward()
    expected = torch.cat([p.grad.flatten() for p in network.parameters()])
    assert torch.allclose(judge_on_digits(network).gradient(), expected, atol=1e-6)


# -- random gradients


def test_random_gradient_children_equal_a_hand_computation() -> None:
    _, judge = tiny()
    assert judge(judge.weights()[None])[0].item() == pytest.approx(tiny_loss(0.2, -0.1))
    assert judge.gradient().tolist() == pytest.approx(tiny_gradient(0.2, -0.1))
    phase = RandomGradients(noise_low=0.5, noise_high=1.5)
    children = phase.offspring(judge.weights(), judge.gradient(), 0.3, 4, generator(5))
    uniform = torch.rand(4, 2, generator=generator(5))
    for child, u in zip(children.tolist(), uniform.tolist(), strict=True):
        expected = [
            w - 0.3 * g * (0.5 + u_k) for w, g, u_k in zip([0.2, -0.1], tiny_gradient(0.2, -0.1), u, strict=True)
        ]
        assert child == pytest.approx(expected)


def test_a_random_gradient_phase_equals_a_hand_computation() -> None:
    """Three children one by one: a step is learning rate x (1 - accuracy), a better child is the next parent."""
    network, judge = tiny()
    RandomGradients(children=3, together=1).evolve(judge, 0.3, generator(2))

    def accuracy(w: list[float]) -> float:
        return sum((w[1] * x > w[0] * x) == (label == 1) for x, label in [(1.0, 0), (2.0, 1), (-1.0, 1)]) / 3

    source, parent = generator(2), [0.2, -0.1]
    for _ in range(3):
        u = torch.rand(1, 2, generator=source)[0].tolist()
        step = 0.3 * (1 - accuracy(parent))
        child = [w - step * g * u_k for w, g, u_k in zip(parent, tiny_gradient(*parent), u, strict=True)]
        if tiny_loss(*child) < tiny_loss(*parent):
            parent = child
    assert parent != [0.2, -0.1]
    assert parameters_to_vector(network.parameters()).tolist() == pytest.approx(parent, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rate=st.sampled_from([0.01, 1.0, 30.0]),
    choose_by=st.sampled_from(["loss", "accuracy"]),
    together=st.sampled_from([1, 4]),
    noise_low=st.sampled_from([-1.0, 0.0]),
)
def test_a_child_that_is_worse_is_never_taken(seed, rate, choose_by, together, noise_low) -> None:
    network = small_network(seed)
    judge = judge_on_digits(network)
    phase = RandomGradients(children=8, together=together, choose_by=choose_by, noise_low=noise_low)
    before = judge(judge.weights()[None])
    phase.evolve(judge, rate, generator(seed))
    after = judge(judge.weights()[None])
    if choose_by == "loss":
        assert after[0] <= before[0]
    else:
        assert after[1] >= before[1]


def test_random_gradients_lower_the_loss_and_their_control_does_not_follow_the_gradient() -> None:
    losses = {}
    for control in (False, True):
        network = small_network()
        judge = judge_on_digits(network)
        RandomGradients(children=40, control=control).evolve(judge, 0.5, generator())
        losses[control] = float(judge(judge.weights()[None])[0])
    start = float(judge_on_digits(small_network())(judge_on_digits(small_network()).weights()[None])[0])
    assert losses[False] < start - 0.05
    assert losses[True] > losses[False] + 0.05


# -- evolution strategies


@pytest.mark.parametrize("noise", ["uniform", "normal"])
@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("together", [2, 3, 100])
def test_the_update_of_strategies_equals_a_hand_computation(noise: str, antithetic: bool, together: int) -> None:
    _, judge = tiny()
    phase = Strategies(children=6, sigma=0.2, learning_rate=0.5, noise=noise, antithetic=antithetic, together=together)
    update = phase.update(judge, judge.weights(), generator(4)).tolist()

    n = 3 if antithetic else 6
    sizes = [min(together, n - done) for done in range(0, n, together)]
    seeds = torch.randint(2**62, (len(sizes),), generator=generator(4)).tolist()
    drawn = [
        vector for seed, size in zip(seeds, sizes, strict=True) for vector in phase.drawn(torch.zeros(2), seed, size)
    ]
    rewards = [-tiny_loss(0.2 + 0.2 * float(e[0]), -0.1 + 0.2 * float(e[1])) for e in drawn]
    mean = sum(rewards) / 6
    deviation = math.sqrt(sum((r - mean) ** 2 for r in rewards) / 6)
    for k in range(2):
        pull = sum((r - mean) / deviation * float(e[k]) for r, e in zip(rewards, drawn, strict=True))
        assert update[k] == pytest.approx(0.5 / (6 * 0.2) * pull, rel=1e-3, abs=1e-5)


def test_strategies_noise_is_what_it_is_called() -> None:
    parent = torch.zeros(50_000)
    uniform = Strategies(noise="uniform").drawn(parent, 1, 2)
    assert float(uniform.abs().max()) <= 1
    assert float(uniform.var()) == pytest.approx(1 / 3, rel=0.02)
    assert float(Strategies(noise="normal").drawn(parent, 1, 2).var()) == pytest.approx(1, rel=0.02)
    pairs = Strategies(antithetic=True).drawn(parent, 1, 2)
    assert torch.equal(pairs[:2], -pairs[2:])


def test_strategies_climb_when_children_are_many() -> None:
    _, judge = tiny()
    before = float(judge(judge.weights()[None])[0])
    Strategies(children=200, sigma=0.05, learning_rate=0.02, generations=10).evolve(judge, 1.0, generator())
    assert float(judge(judge.weights()[None])[0]) < before


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=20))
def test_normalised_rewards_have_mean_zero_and_deviation_one(rewards: list[float]) -> None:
    found = normalised(torch.tensor(rewards, dtype=torch.float64))
    if max(rewards) - min(rewards) > 1e-3:
        assert float(found.mean()) == pytest.approx(0, abs=1e-9)
        assert float(found.std(correction=0)) == pytest.approx(1)


def test_equal_rewards_move_nothing() -> None:
    assert normalised(torch.full((5,), 0.3)).tolist() == [0.0] * 5
    _, judge = tiny()
    phase = Strategies(children=4, sigma=1e-9, choose_by="accuracy")
    before = judge.weights().clone()
    phase.evolve(judge, 1.0, generator())
    assert torch.equal(before, judge.weights())


# -- the control arm


def test_same_norm_is_as_long_and_points_elsewhere() -> None:
    update = torch.randn(10_000, generator=generator(1))
    noise = same_norm(update, generator(2))
    assert float(noise.norm()) == pytest.approx(float(update.norm()), rel=1e-5)
    assert abs(float(nn.functional.cosine_similarity(noise, update, dim=0))) < 0.05
    assert torch.equal(same_norm(torch.zeros(5), generator(2)), torch.zeros(5))


@pytest.mark.parametrize("phase", [Strategies(children=10), Strategies(children=10, control=True)])
def test_the_control_moves_exactly_as_far(phase: Strategies) -> None:
    judge = judge_on_digits(small_network())
    parent = judge.weights().clone()
    update = phase.update(judge, parent, generator(3))
    phase.evolve(judge, 1.0, generator(3))
    assert float((judge.weights() - parent).norm()) == pytest.approx(float(update.norm()), rel=1e-3)


# -- in a training


@pytest.mark.parametrize("phase", [RandomGradients(every=2, children=10), Strategies(every=2, children=10)])
def test_evolution_takes_the_place_of_an_epoch_and_keeps_its_own_data(phase) -> None:
    run = a_run(epochs=6)
    hooks = [phase.begin(run)]
    assert len(run.inputs) == 960
    history = train(run, hooks)
    assert len(history) == 6
    assert run.step == 3 * math.ceil(960 / 50)
    assert history[-1] > 0.8


@pytest.mark.parametrize("kind", ["random_gradients", "strategies"])
def test_evolution_takes_a_network_that_gives_values_without_a_second_dimension(kind: str) -> None:
    tables = {
        "data": {"name": "own_parts:wine_alcohol", "task": "regression"},
        "network": {"kind": "own_parts:values_alone"},
        "evolution": {"kind": kind, "every": 2, "children": 4},
    }
    (trial,) = Recipe.from_tables(tables).train(Job((Training({}, 0, 4),)), lambda share: None)
    assert trial.complete


def test_settling_leaves_the_weights_where_they_are() -> None:
    """Weights that became parts of one vector would be computed with otherwise, in the last bits."""
    network = small_network()
    places = [parameter.data_ptr() for parameter in network.parameters()]
    judge = Judge(network, nn.functional.cross_entropy, *digits()[:2])
    wanted = torch.randn_like(judge.weights())
    judge.settle(wanted)
    assert torch.equal(judge.weights(), wanted)
    assert [parameter.data_ptr() for parameter in network.parameters()] == places


def test_evolution_is_the_same_for_the_same_seed() -> None:
    weights = []
    for _ in range(2):
        run = a_run(epochs=4)
        train(run, [RandomGradients(every=2, children=6).begin(run)])
        weights.append(parameters_to_vector(run.network.parameters()))
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "strategy"}, 'unknown kind "strategy"; did you mean "strategies"?'),
        ({"kind": "strategies", "temperature": 1.0}, '[evolution] has no key "temperature"'),
        ({"children": 0}, "children must be a whole number, at least 1, not 0"),
        ({"share": 1.0}, "share of the training data must lie between 0 and 1"),
        ({"choose_by": "luck"}, 'choose_by is "loss" or "accuracy"'),
        ({"kind": "strategies", "antithetic": True, "children": 5}, "an even number, not 5"),
        ({"kind": "strategies", "sigma": 0.0}, "must be above 0"),
        ({"noise_low": 1.0}, "noise_low must be below noise_high"),
    ],
)
def test_a_wrong_evolution_table_is_a_clear_error(table, said: str) -> None:
    with pytest.raises(StudyError) as error:
        evolution_from_table(table)
    assert said in str(error.value)


def test_evolution_tables_are_read() -> None:
    assert evolution_from_table({"kind": "strategies", "sigma": 0.02}) == Strategies(sigma=0.02)
    assert evolution_from_table({"every": 3}) == RandomGradients(every=3)


# -- gradient noise


def test_gradient_noise_has_the_published_variance() -> None:
    noise = GradientNoise(eta=0.3)
    assert [noise.deviation(t) ** 2 for t in (0, 9, 99)] == pytest.approx([0.3, 0.3 / 10**0.55, 0.3 / 100**0.55])
    run = a_run(small_network(width=256))
    run.step = 9
    for parameter in run.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    noise.begin(run).before_step(run)
    added = torch.cat([p.grad.flatten() for p in run.network.parameters()])
    assert float(added.var()) == pytest.approx(0.3 / 10**0.55, rel=0.05)


def test_a_wrong_gradient_noise_is_a_clear_error() -> None:
    with pytest.raises(StudyError, match="eta above 0"):
        GradientNoise.from_table({"eta": 0.0})
