"""Every kind of network: its shape, its axes, what is trained of it, and what cannot be built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zonesearch import ObjectiveError, Training, Trial
from zonesearch.core.objective import Job
from zonesearch.training.networks import build, check_network, n_parameters, seed_dropout
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import DataSettings, NetworkSettings

PHOTO = (3, 32, 32)


def train(recipe: Recipe, params: dict[str, Any], epochs: int = 2, test: bool = False) -> Trial:
    (trial,) = recipe.train(Job((Training(params, 0, epochs, test),)), lambda share: None)
    return trial


def settings_of(params: dict[str, Any], recipe: Recipe | None = None) -> NetworkSettings:
    return (recipe or Recipe()).settings_of(params)[0].network


def scores(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int = 10, n: int = 4) -> torch.Tensor:
    torch.manual_seed(0)
    out: torch.Tensor = build(settings, shape, n_classes).eval()(torch.randn(n, *shape))
    return out


def widths(network: nn.Module) -> list[int]:
    return [module.out_features for module in network.modules() if isinstance(module, nn.Linear)]


# --- feed-forward


def test_the_widths_of_a_feed_forward_network_are_axes_of_their_own() -> None:
    recipe = Recipe(network=NetworkSettings(widths=(32, 16, 8)))
    assert widths(build(settings_of({"width_2": 20}, recipe), (64,), 10)) == [32, 20, 8, 10]
    assert widths(build(settings_of({"width_1": 5, "width_3": 7}, recipe), (64,), 10)) == [5, 16, 7, 10]
    assert widths(build(settings_of({"width": 12, "depth": 3}), (64,), 10)) == [12, 12, 12, 10]
    assert widths(build(settings_of({"width": 12, "depth": 2, "width_2": 6}), (64,), 10)) == [12, 6, 10]
    with pytest.raises(ObjectiveError, match="number of hidden layers is 3"):
        recipe.check({"width_4": 8})


def test_activation_dropout_and_batch_norm_stand_after_each_hidden_layer() -> None:
    network = build(NetworkSettings(width=8, depth=2, activation="gelu", dropout=0.3, batch_norm=True), (64,), 10)
    kinds = [type(module).__name__ for module in network]  # type: ignore[union-attr]
    assert kinds == ["Flatten", *(["Linear", "BatchNorm1d", "GELU", "Dropout"] * 2), "Linear"]


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu", "silu"])
def test_every_activation_is_the_function_of_its_name(activation: str) -> None:
    made = build(NetworkSettings(width=4, activation=activation), (6,), 2)[2]  # type: ignore[index]
    x = torch.linspace(-3, 3, 7)
    wanted = {
        "relu": x.clamp(min=0),
        "tanh": (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
        "sigmoid": 1 / (1 + (-x).exp()),
        "gelu": x * (1 + torch.erf(x / 2**0.5)) / 2,
        "silu": x / (1 + (-x).exp()),
    }
    torch.testing.assert_close(made(x), wanted[activation])


def test_dropout_drops_a_share_while_training_and_nothing_after() -> None:
    network = build(NetworkSettings(width=2000, dropout=0.25), (8,), 2)
    seed_dropout(network, 0, torch.device("cpu"))
    (dropout,) = (module for module in network.modules() if type(module).__name__ == "Dropout")
    x = torch.ones(3, 2000)
    dropped = dropout.train()(x)
    assert float((dropped == 0).double().mean()) == pytest.approx(0.25, abs=0.02)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert dropout.eval()(x).equal(x)


def test_any_argument_of_a_network_is_an_axis() -> None:
    recipe = Recipe(network=NetworkSettings(width=8), data=DataSettings(limit=100))
    plain = train(recipe, {}, epochs=1)
    for params in (
        {"activation": "tanh"}, {"dropout": 0.5}, {"batch_norm": True}, {"init": "keras"}, {"depth": 2},
        {"network.width": 9}, {"kind": "cnn", "channels": 2, "blocks": 1},
    ):  # fmt: skip
        trial = train(recipe, params, epochs=1)
        assert trial.state == "complete"
        assert trial.curve != plain.curve, params


# --- convolutional


@pytest.mark.parametrize("pooling", ["max", "mean", "stride"])
@pytest.mark.parametrize("residual", [False, True])
def test_a_convolutional_network_halves_the_image_in_each_block(pooling: str, residual: bool) -> None:
    settings = NetworkSettings(kind="cnn", channels=3, blocks=3, depth=2, kernel=5, pooling=pooling, residual=residual)
    network = build(settings, PHOTO, 10)
    x, shapes = torch.randn(2, *PHOTO), []
    for block in list(network)[:3]:  # type: ignore[call-overload]
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(3, 16, 16), (6, 8, 8), (12, 4, 4)]
    assert scores(settings, PHOTO).shape == (4, 10)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert sum(m.kernel_size == (5, 5) for m in convolutions) == 6
    n_shortcuts = {(False, "max"): 0, (True, "max"): 2, (True, "mean"): 2, (True, "stride"): 3}
    assert sum(m.kernel_size == (1, 1) for m in convolutions) == n_shortcuts.get((residual, pooling), 0)


@pytest.mark.parametrize("pooling", ["max", "mean", "stride"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (1, 13, 21)], ids=str)
@pytest.mark.parametrize("kernel", [3, 4])
def test_a_flat_head_sees_every_pixel_that_the_blocks_leave(pooling: str, shape: Any, kernel: int) -> None:
    settings = NetworkSettings(kind="cnn", channels=3, blocks=3, pooling=pooling, flatten=True, kernel=kernel)
    network = build(settings, shape, 10).eval()
    x = torch.randn(2, *shape)
    left = network[:3](x)  # type: ignore[index]
    head = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    assert head.in_features == left[0].numel()
    torch.testing.assert_close(network(x), head(left.flatten(1)))
    assert n_parameters(settings, shape, 10) == sum(parameter.numel() for parameter in network.parameters())
    other = build(replace(settings, flatten=False), shape, 10)
    assert sum(p.numel() for p in other.parameters()) < sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("kernel", [1, 2, 4, 6])
@pytest.mark.parametrize("pooling", ["max", "stride"])
def test_a_kernel_of_any_size_keeps_the_image(kernel: int, pooling: str) -> None:
    """An interval between two odd kernels has even ones in it."""
    settings = NetworkSettings(kind="cnn", channels=2, blocks=2, kernel=kernel, pooling=pooling, residual=True)
    block = build(settings, PHOTO, 10)[0]  # type: ignore[index]
    assert block(torch.randn(1, *PHOTO)).shape == (1, 2, 16, 16)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
def test_an_even_kernel_is_padded_as_torch_pads_it() -> None:
    convolution = build(NetworkSettings(kind="cnn", channels=2, blocks=1, kernel=4), PHOTO, 10)[0].convolutions  # type: ignore[index]
    x, last = torch.randn(1, 3, 9, 9), convolution[-1]
    torch.testing.assert_close(convolution(x), nn.functional.conv2d(x, last.weight, last.bias, padding="same"))


def test_a_residual_block_adds_its_input() -> None:
    settings = NetworkSettings(kind="cnn", channels=3, blocks=1, depth=2, residual=True, pooling="mean")
    (block, *_) = build(settings, PHOTO, 10)
    for parameter in block.convolutions.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(2, *PHOTO)
    torch.testing.assert_close(block(x), nn.functional.avg_pool2d(x, 2))


def test_too_many_blocks_and_other_impossible_networks_are_one_sentence() -> None:
    for settings, said in (
        (NetworkSettings(kind="cnn", blocks=4), "set \\[network\\] blocks to 3 or fewer"),
        (NetworkSettings(kind="cnn", kernel=0), "kernel must be at least 1"),
        (NetworkSettings(kind="cnn", pooling="sum"), 'pooling "sum" is unknown'),
        (NetworkSettings(kind="cn"), 'did you mean "cnn"'),
        (NetworkSettings(kind="backbone", backbone="resnet19"), 'did you mean "resnet18"'),
        (NetworkSettings(kind="backbone", weights="IMAGENET"), 'resnet18 has no weights "IMAGENET"'),
        (NetworkSettings(kind="backbone", tune="half"), 'tune "half" is unknown'),
        (NetworkSettings(kind="own_parts:missing"), "cannot be imported"),
        (NetworkSettings(kind="own_parts:__doc__"), "is not a function"),
    ):
        with pytest.raises(ObjectiveError, match=said):
            Recipe(network=settings).check({})
    with pytest.raises(ObjectiveError, match="needs images"):
        build(NetworkSettings(kind="cnn"), (30,), 2)


# --- backbones


def named(network: nn.Module) -> set[str]:
    """The stages that have anything to be trained."""
    return {name.split(".")[1] for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_tune_says_which_stages_of_a_backbone_are_trained() -> None:
    made = {tune: build(NetworkSettings(kind="backbone", tune=tune), PHOTO, 7) for tune in ("full", "last", "head")}
    assert named(made["head"]) == {"fc"}
    assert named(made["last"]) == {"layer4", "fc"}
    assert named(made["full"]) == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}
    assert all(network.body.fc.out_features == 7 for network in made.values())


@pytest.mark.parametrize(
    ("backbone", "last_stage"),
    [
        ("alexnet", {"features.10", "classifier"}),
        ("convnext_tiny", {"features.7", "classifier"}),
        ("densenet121", {"features.denseblock4", "features.norm5", "classifier"}),
        ("efficientnet_b0", {"features.8", "classifier"}),
        ("googlenet", {"inception5b", "fc"}),
        ("inception_v3", {"Mixed_7c", "fc"}),
        ("mnasnet0_5", {"layers.14", "layers.15", "classifier"}),
        ("mobilenet_v3_small", {"features.12", "classifier"}),
        ("regnet_x_400mf", {"trunk_output.block4", "fc"}),
        ("shufflenet_v2_x0_5", {"conv5", "fc"}),
        ("squeezenet1_1", {"features.12", "classifier"}),
        ("swin_t", {"features.7", "norm", "head"}),
        ("vit_b_32", {"encoder.layers.encoder_layer_11", "encoder.ln", "heads"}),
    ],
)
def test_every_family_of_backbones_has_a_head_and_a_last_stage(backbone: str, last_stage: set[str]) -> None:
    shape = (3, 224, 224)
    settings = {
        tune: NetworkSettings(kind="backbone", backbone=backbone, tune=tune) for tune in ("full", "last", "head")
    }
    n = {tune: n_parameters(each, shape, 7) for tune, each in settings.items()}
    assert n["full"] == n["last"] == n["head"] > 100_000
    device = "cpu" if "regnet" in backbone else "meta"  # on meta nothing is computed
    with torch.device(device):
        made = {tune: build(each, shape, 7).body for tune, each in settings.items()}
    trained = {
        tune: {name for name, parameter in body.named_parameters() if parameter.requires_grad}
        for tune, body in made.items()
    }
    assert {name.rpartition(".")[2] for name in trained["head"]} == {"weight", "bias"}
    assert len(trained["head"]) == 2
    assert all(dict(made["head"].named_parameters())[name].shape[0] == 7 for name in trained["head"])
    stages = tuple(f"{stage}." for stage in last_stage)
    assert trained["last"] == {name for name in trained["full"] if name.startswith(stages)}


@pytest.mark.parametrize("backbone", ["squeezenet1_1", "googlenet"])
def test_backbones_with_other_heads_or_scores_train(backbone: str) -> None:
    network = build(NetworkSettings(kind="backbone", backbone=backbone), (3, 64, 64), 7).train()
    scores = network(torch.randn(2, 3, 64, 64))
    assert scores.shape == (2, 7)
    scores.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("tune", ["last", "head"])
def test_what_is_frozen_stays_as_it_was_through_a_training(tune: str) -> None:
    network = build(NetworkSettings(kind="backbone", tune=tune), (1, 32, 32), 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    network.train()
    network(torch.randn(4, 1, 32, 32)).square().mean().backward()
    optimizer.step()
    moved = {name.split(".")[1] for name, value in network.state_dict().items() if not value.equal(before[name])}
    assert moved == ({"layer4", "fc"} if tune == "last" else {"fc"})


def test_weights_come_from_a_local_file_and_only_as_weights(tmp_path: Path) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(1)
    body = resnet18(num_classes=3)
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": body.state_dict()}, path)
    made = build(NetworkSettings(kind="backbone", weights=str(path)), PHOTO, 10)
    assert made.body.conv1.weight.equal(body.conv1.weight)
    assert made.body.fc.out_features == 10
    same_head = build(NetworkSettings(kind="backbone", weights=str(path)), PHOTO, 3)
    assert not same_head.body.fc.weight.equal(body.fc.weight), "the head is new even where the old one would fit"
    torch.save({"conv1.weight": body.conv1.weight}, path)
    with pytest.raises(ObjectiveError, match="does not fit"):
        build(NetworkSettings(kind="backbone", weights=str(path)), PHOTO, 10)
    torch.save(body, path)  # a pickled network could run code when it is read
    with pytest.raises(ObjectiveError, match="cannot be read"):
        build(NetworkSettings(kind="backbone", weights=str(path)), PHOTO, 10)
    with pytest.raises(ObjectiveError, match="cannot be read: FileNotFoundError"):
        build(NetworkSettings(kind="backbone", weights=str(tmp_path / "none.pt")), PHOTO, 10)


# --- a user's own


def test_a_factory_is_given_settings_arguments_axes_and_the_shape_of_the_data() -> None:
    recipe = Recipe(network=NetworkSettings(kind="own_parts:network", width=24, arguments=(("waist", 4),)))
    network = build(settings_of({}, recipe), (1, 8, 8), 10)
    assert widths(network) == [24, 6, 10]
    assert widths(build(settings_of({"waist": 3, "width": 30}, recipe), (1, 8, 8), 10)) == [30, 10, 10]
    trial = train(recipe, {"waist": 3, "learning_rate": 0.02, "batch": 32}, epochs=4, test=True)
    assert trial.accuracy is not None
    assert trial.accuracy > 0.8
    assert trial.n_parameters == 65 * 24 + 25 * 8 + 9 * 10


@pytest.mark.parametrize("name", ["network_without_parameters", "AsClass"])
def test_a_factory_may_be_a_class_or_take_nothing(name: str) -> None:
    assert (
        train(Recipe(network=NetworkSettings(kind=f"own_parts:{name}"), data=DataSettings(limit=100)), {}).state
        == "complete"
    )


def test_what_a_factory_gives_is_checked_before_the_first_step() -> None:
    for name, error, said in (
        ("no_network", TypeError, "must give a torch.nn.Module, but gave list"),
        ("too_few_scores", ValueError, r"gives \(2, 5\) for 2 examples, but the data need \(2, 10\)"),
    ):
        with pytest.raises(error, match=said):
            train(Recipe(network=NetworkSettings(kind=f"own_parts:{name}")), {})


# --- all kinds


@pytest.mark.parametrize(
    "settings",
    [
        NetworkSettings(width=8, depth=2, batch_norm=True),
        NetworkSettings(widths=(9, 4)),
        NetworkSettings(kind="cnn", channels=3, batch_norm=True, residual=True, depth=2),
        NetworkSettings(kind="backbone"),
        NetworkSettings(kind="own_parts:network"),
    ],
    ids=lambda settings: settings.kind,
)
def test_parameters_are_counted_as_they_will_be_and_the_count_draws_nothing(settings: NetworkSettings) -> None:
    check_network(settings)
    before = torch.get_rng_state()
    n = n_parameters(settings, PHOTO, 10)
    assert torch.get_rng_state().equal(before)
    assert n == sum(parameter.numel() for parameter in build(settings, PHOTO, 10).parameters())


@pytest.mark.parametrize(
    "settings",
    [
        NetworkSettings(kind="cnn", channels=8, depth=1, batch_norm=True),
        NetworkSettings(kind="cnn", channels=8, depth=2, residual=True, pooling="stride", activation="silu"),
        NetworkSettings(width=32, depth=2, dropout=0.1),
    ],
)
def test_networks_learn_the_digits(settings: NetworkSettings) -> None:
    trial = train(
        Recipe(network=settings, data=DataSettings(limit=400)), {"learning_rate": 0.02, "batch": 32}, epochs=4
    )
    assert trial.accuracy is not None
    assert trial.accuracy > 0.8
