"""A PyTorch recipe as an objective: how a controlled network is built and trained."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import torch

from zonesearch.domain.objective import Bundle, Report
from zonesearch.domain.trials import Training, Trial
from zonesearch.errors import ObjectiveError, StudyError, ZoneSearchError, did_you_mean
from zonesearch.training.augmentation import check_augmentation
from zonesearch.training.batch_rules import RULES, steps_in_epoch
from zonesearch.training.data import Split, load
from zonesearch.training.loop import train_one
from zonesearch.training.memory import saying_what_does_not_fit
from zonesearch.training.metrics import check_metric
from zonesearch.training.networks import check_network, n_parameters
from zonesearch.training.numerics import check_precision
from zonesearch.training.optimizers import check_optimizer
from zonesearch.training.own_code import own_code
from zonesearch.training.schedules import Sweep, parse
from zonesearch.training.settings import (
    AugmentationSettings,
    DataSettings,
    NetworkSettings,
    OptimizerSettings,
    Settings,
    TrainingSettings,
)
from zonesearch.training.stack import group, is_stackable, train_stack
from zonesearch.training.states import States
from zonesearch.training.techniques import TECHNIQUE_TABLES, Techniques, length_reason

__all__ = ["Recipe"]

CODE = 4
"""Raised with every change of the training code that changes a result."""

_KEEP_MB = 2000  # of ends of trainings, where longer trainings are to be expected
_STEP_COST, _STACKED_STEP_COST = 2e-4, 2e-5  # of a step that computes nothing: seconds on one ordinary core
_UPDATE_COST = 1.5e-9  # of one parameter in the optimizer's pass
_FLOP_COST = 2e-11


@dataclass(frozen=True)
class Recipe:
    """The controlled network: data, network, optimizer and training settings; params of a training replace settings.

    Args:
        data, network, optimizer, training: the fixed settings.
        seed: of the study.
        techniques: what happens around the optimizer's steps.
        arms: other recipes on the same data by name, for comparisons; the parameter ``arm`` picks one.
    """

    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    training: TrainingSettings = TrainingSettings()
    seed: int = 0
    techniques: Techniques = Techniques()
    arms: Mapping[str, Recipe] = field(default_factory=dict)
    augmentation: AugmentationSettings = AugmentationSettings()

    @classmethod
    def from_tables(cls, tables: Mapping[str, Mapping[str, Any]], seed: int = 0) -> Recipe:
        """Read the tables of a study file: ``[data] [network] [optimizer] [training]``, those of techniques, arms.

        A table ``[arms.NAME]`` holds settings of the other tables (``training.schedule = ...``) that replace them when
        the parameter ``arm`` is NAME.

        Raises:
            StudyError: naming the table, the key and the nearest right one.
        """
        tables = dict(tables)
        arms = {name: _arm(tables, name, arm) for name, arm in tables.pop("arms", {}).items()}
        known = (*(part.name for part in fields(Settings)), *TECHNIQUE_TABLES)
        for name in tables:
            if name not in known:
                raise StudyError(f"a pytorch objective has no table [{name}]; {did_you_mean(name, known)}")
        settings = Settings.from_tables(tables)
        parse(settings.training.schedule)
        made = {name: cls.from_tables(arm, seed) for name, arm in arms.items()}
        techniques = Techniques.from_tables(tables)
        return cls(**vars(settings), seed=seed, techniques=techniques, arms=made)

    def fingerprint(self) -> Mapping[str, Any]:
        """The settings, the content of the data and of the user's own code, and the version of the code that trains."""
        described = {"objective": "pytorch", "code": CODE, **self._described(), "content": self._load("cpu").digest}
        own = own_code([self._settings, *(arm._settings for arm in self.arms.values())])
        return described | ({"own_code": own} if own else {})

    def check(self, params: Mapping[str, Any]) -> None:
        """Say what cannot work.

        Raises:
            ObjectiveError: naming the parameter, its value and the mend.
            StudyError: for a schedule that cannot be read.
        """
        settings, techniques = self.settings_of(params)
        check_network(settings.network)
        check_optimizer(settings.optimizer)
        check_metric(settings)
        check_precision(settings.training.precision)
        parse(settings.training.schedule)
        data = self._load("cpu")
        check_augmentation(settings.augmentation, data.shape)
        if not settings.network.is_factory:
            n_parameters(settings.network, data.shape, data.n_outputs)
        if settings.training.clip < 0:
            raise ObjectiveError(f"clip must be 0 (off) or more, not {settings.training.clip}")
        if settings.training.clip and settings.optimizer.name == "lbfgs":
            raise ObjectiveError("lbfgs searches along a line and takes no clip; leave [training] clip at 0")
        if techniques.gradient_noise is not None and settings.optimizer.name == "lbfgs":
            raise ObjectiveError("lbfgs searches along a line and takes no noise; leave out [gradient_noise]")
        evolution = techniques.evolution
        if evolution is not None and evolution.choose_by == "accuracy" and settings.data.task == "regression":
            raise ObjectiveError('[evolution] choose_by = "accuracy" is for classes; choose a regression by "loss"')
        batch, n = settings.training.batch, len(data.train[1])
        if batch < 1:
            raise ObjectiveError(f"batch must be at least 1, not {batch}")
        if batch == 1 and settings.network.batch_norm and settings.network.kind in ("mlp", "cnn"):
            raise ObjectiveError("batch = 1 has no variance that batch_norm could normalise by; take 2 or more")
        if batch > n:
            raise ObjectiveError(
                f"batch {batch} is larger than the training split of {n} examples; lower the batch axis"
            )
        for name, least in (("reference_batch", 1), ("steps_per_epoch", 0), ("keep_mb", 0)):
            if getattr(settings.training, name) < least:
                raise ObjectiveError(f"{name} must be at least {least}, not {getattr(settings.training, name)}")
        if settings.training.tested not in ("best", "last"):
            raise ObjectiveError(f'tested is "best" or "last", not {settings.training.tested!r}')
        if settings.training.rate_rule not in RULES:
            raise ObjectiveError(f"rate_rule is one of {', '.join(RULES)}, not {settings.training.rate_rule!r}")
        feed_forward = settings.network.kind == "mlp" or settings.network.is_factory  # of which it is seen once built
        if settings.network.base_width and not (feed_forward and settings.optimizer.name != "lbfgs"):
            raise ObjectiveError(
                "base_width carries the learning rate of feed-forward networks over, under any optimizer but lbfgs; "
                "leave [network] base_width at 0"
            )

    def rate_tie(self, params: Mapping[str, Any]) -> float:
        """What the batch rule multiplies the learning rate of a training with these params by."""
        return self.settings_of(params)[0].rate_tie(len(self._load("cpu").train[1]))

    def check_length(self, training: Training) -> None:
        """Say that a training as long as this one cannot be what it was meant for, where that is known beforehand.

        Raises:
            ObjectiveError: averaging would never begin; a cycle of the schedule ends where no member can be taken.
        """
        settings, techniques = self.settings_of(training.params)
        averaging, stopping = techniques.averaging, techniques.early_stopping
        schedule = parse(settings.training.schedule)
        if averaging is None or isinstance(schedule, Sweep):
            return
        n = len(self._load("cpu").train[1])
        base = settings.optimizer.learning_rate * settings.rate_tie(n)
        try:
            steps = steps_in_epoch(n, settings.batch_of(n), settings.training.steps_per_epoch)
            points = averaging.points_of(schedule, training.epochs, steps, base)
        except StudyError as error:
            raise ObjectiveError(f"[averaging] {error}") from None
        epochs = training.epochs
        if stopping is not None and stopping.after is not None:
            epochs = min(epochs, stopping.after)
        if not any(point <= epochs for point in points):
            first = (
                f"the first member would be taken after epoch {points[0]}" if points else "there is no member to take"
            )
            raise ObjectiveError(
                f"[averaging] never begins within {epochs} epochs: {first}; lower [averaging] start, shorten the "
                f"schedule's cycles, or train longer"
            )

    def continuing(self, points: Sequence[Mapping[str, Any]]) -> Recipe:
        """This recipe with ends of trainings kept, so that longer ones go on from there (``[training] keep_mb``).

        Raises:
            ObjectiveError: the schedule or a technique at one of ``points`` looks at the length of the training, so
                that a shorter one is another training and not the beginning of a longer one.
        """
        for params in points:
            settings, techniques = self.settings_of(params)
            if techniques.averaging is not None:
                raise ObjectiveError(
                    "rungs need trainings that are judged alike at any length, but [averaging] judges another network "
                    "from its first member on; leave out [averaging] or rungs"
                )
            if reason := length_reason(settings, techniques):
                raise ObjectiveError(
                    f"rungs need trainings that begin alike at any length, but {reason}; give it its length as an "
                    f"argument, or leave out rungs"
                )
        return replace(self, training=replace(self.training, keep_mb=self.training.keep_mb or _KEEP_MB))

    def bundles(self, trainings: Sequence[Training]) -> list[Bundle]:
        """Networks that can train as one program together, the others one by one; priced by steps and arithmetic."""
        costs = {training: self._cost(training) for training in dict.fromkeys(trainings)}
        stackable: list[tuple[Training, Settings]] = []
        bundles: list[tuple[Training, ...]] = []
        for training in costs:
            settings, techniques = self.settings_of(training.params)
            if self._stacks(settings, techniques):
                stackable.append((training, settings))
            else:
                bundles.append((training,))
        bundles += group(stackable, costs.__getitem__, self._n_parameters, math.fsum(costs.values()))
        return [Bundle(members, math.fsum(costs[training] for training in members)) for members in bundles]

    def train(self, bundle: Bundle, report: Report) -> Iterator[Trial]:
        """Train a bundle as a stack, or one network after the other."""
        with saying_what_does_not_fit(lambda: self._largest(bundle.trainings)):
            yield from self._train(bundle, report)

    def _train(self, bundle: Bundle, report: Report) -> Iterator[Trial]:
        data = self.split()
        wanted = [(training, *self.settings_of(training.params)) for training in bundle.trainings]
        if all(self._stacks(settings, techniques) for _, settings, techniques in wanted):
            members = [(training, settings, techniques.early_stopping) for training, settings, techniques in wanted]
            yield from train_stack(members, data, self.seed, report, self._states("stack, 3"))
            return
        for i, (training, settings, techniques) in enumerate(wanted):

            def share(done: float, before: int = i) -> None:
                report((before + done) / len(wanted))

            yield train_one(training, settings, data, self.seed, share, techniques, self._states("loop, 3"))

    def _states(self, trained_by: str) -> States | None:
        """Where ends of trainings are kept, if they are; the two ways to train keep other things.

        Args:
            trained_by: the way, and the version of what it keeps.
        """
        if not self.training.keep_mb:
            return None
        text = json.dumps(self.fingerprint(), sort_keys=True, default=str)
        experiment = hashlib.sha256(f"{trained_by} {self._device()} {text}".encode()).hexdigest()[:16]
        return States.of_user(experiment, self.training.keep_mb)

    @property
    def _settings(self) -> Settings:
        return Settings(self.data, self.network, self.optimizer, self.training, self.augmentation)

    def settings_of(self, params: Mapping[str, Any]) -> tuple[Settings, Techniques]:
        """Settings and techniques of a training with these params.

        Raises:
            ObjectiveError: naming the parameter, its value and the mend.
        """
        rest = dict(params)
        recipe = self
        if self.arms and "arm" in rest:
            name = rest.pop("arm")
            if name not in self.arms:
                raise ObjectiveError(f'there is no arm "{name}"; {did_you_mean(str(name), self.arms)}')
            recipe = self.arms[name]
        techniques, rest = recipe.techniques.with_params(rest)
        return recipe._settings.with_params(rest), techniques

    def _described(self) -> dict[str, Any]:
        """All settings that change a result."""
        described = asdict(self._settings)
        described["data"].pop("root")
        for key in ("device", "stack", "keep_mb"):
            described["training"].pop(key)
        described |= self.techniques.describe()
        for table in _changed_code(self._settings, self.techniques):
            described[table]["code"] = 2
        if self.arms:
            described["arms"] = {name: _changes(described, arm._described()) for name, arm in self.arms.items()}
        return described

    def split(self) -> Split:
        """The data, on the device where trainings run."""
        return self._load(self._device())

    def _load(self, device: str) -> Split:
        return load(self.data, self.seed, device, self.training.precision == "float64")

    def _device(self) -> str:
        wanted = self.training.device
        if wanted not in ("auto", "cpu", "cuda"):
            raise ObjectiveError(f'[training] device is "auto", "cpu" or "cuda", not "{wanted}"')
        if wanted == "cuda" and not torch.cuda.is_available():
            raise ObjectiveError('[training] device = "cuda", but torch sees no GPU here; use "auto"')
        return "cuda" if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()) else "cpu"

    def _stacks(self, settings: Settings, techniques: Techniques) -> bool:
        return self._load("cpu").n_classes > 0 and is_stackable(settings, techniques)

    def _size(self, settings: Settings) -> int:
        """Number of parameters; 0 when the user's factory raises: the training will fail then, and say why."""
        try:
            return self._n_parameters(settings)
        except ZoneSearchError:
            raise
        except Exception:
            return 0

    def _n_parameters(self, settings: Settings) -> int:
        data = self._load("cpu")
        return n_parameters(settings.network, data.shape, data.n_outputs)

    def _largest(self, trainings: Sequence[Training]) -> str:
        """What is too large for the memory."""
        settings = [self.settings_of(training.params)[0] for training in trainings]
        n, batch = max(self._size(each) for each in settings), max(each.training.batch for each in settings)
        network = f"a network of {n:,} parameters" if n else "the network"
        return (
            f"out of memory on {self._device()}: {network} in batches of {batch} does not fit; end these axes lower, "
            f"or train where there is more memory"
        )

    def _cost(self, training: Training) -> float:
        """About how many seconds the training takes on one core."""
        settings, techniques = self.settings_of(training.params)
        n, batch = len(self._load("cpu").train[1]), settings.training.batch
        weights = self._size(settings)
        steps = steps_in_epoch(n, batch, settings.training.steps_per_epoch)
        step = _STACKED_STEP_COST if self._stacks(settings, techniques) else _STEP_COST
        return training.epochs * (steps * (step + weights * _UPDATE_COST) + 6 * n * weights * _FLOP_COST)


def _changed_code(settings: Settings, techniques: Techniques) -> list[str]:
    """The tables whose settings, as they are, give other results than with the first code that knew them.

    Averages: frozen batch norms keep their statistics, epochs before the first member do not count, members stand at
    the low end of cycles. Evolution and the noise scale: in the precision of training, frozen weights left alone; the
    noise scale on augmented batches. Dropout of a backbone: there was none.
    """
    network, other = settings.network, settings.training.precision in ("bf16", "float64")
    frozen = network.kind == "backbone" and network.tune != "full"
    changed = {
        "averaging": techniques.averaging is not None,
        "evolution": techniques.evolution is not None and (other or frozen),
        "noise_scale": techniques.noise_scale is not None and (other or bool(settings.augmentation)),
        "network": network.kind == "backbone" and network.dropout > 0,
    }
    return [table for table, is_on in changed.items() if is_on]


def _arm(tables: Mapping[str, Mapping[str, Any]], name: str, arm: Any) -> dict[str, Mapping[str, Any]]:
    """The tables of a study with those of an arm laid over them."""
    if not isinstance(arm, Mapping) or not all(isinstance(table, Mapping) for table in arm.values()):
        raise StudyError(f'[arms.{name}] holds settings of other tables, such as training.schedule = "cosine"')
    for table in arm:
        if table in ("data", "arms"):
            raise StudyError(f"[arms.{name}] cannot set [{table}]: arms differ in how they train, on the same data")
    merged: dict[str, Mapping[str, Any]] = {key: table for key, table in tables.items() if key != "arms"}
    for table, settings in arm.items():
        merged[table] = {**merged.get(table, {}), **settings}
    return merged


def _changes(base: Mapping[str, Any], arm: Mapping[str, Any]) -> dict[str, Any]:
    """What an arm sets otherwise than the recipe, table by table; all of a table that the recipe does not have."""
    changed = {table: _other(base.get(table, {}), settings) for table, settings in arm.items()}
    return {table: settings for table, settings in changed.items() if settings}


def _other(base: Mapping[str, Any], arm: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arm.items() if key not in base or base[key] != value}
