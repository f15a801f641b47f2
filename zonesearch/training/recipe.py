"""A PyTorch recipe as an objective: how a controlled network is built and trained."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch

from zonesearch.domain.objective import Bundle, Report, whole
from zonesearch.domain.tables import laid_over
from zonesearch.domain.trials import Training, Trial
from zonesearch.errors import ObjectiveError, StudyError, ZoneSearchError, did_you_mean
from zonesearch.training.augmentation import check_augmentation
from zonesearch.training.batch_rules import RULES, steps_in_epoch
from zonesearch.training.data import Split, load
from zonesearch.training.description import changes, described
from zonesearch.training.length import looks_at_length
from zonesearch.training.loop import train_one
from zonesearch.training.memory import saying_what_does_not_fit
from zonesearch.training.metrics import check_metric
from zonesearch.training.networks import check_network, n_parameters
from zonesearch.training.numerics import check_precision
from zonesearch.training.optimizers import check_optimizer
from zonesearch.training.own_code import own_code
from zonesearch.training.schedules import parse
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
from zonesearch.training.techniques import TECHNIQUE_TABLES, Techniques

__all__ = ["Recipe"]

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
        arms = {name: laid_over(tables, name, arm) for name, arm in tables.pop("arms", {}).items()}
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
        """The settings that differ from their defaults, the content of the data and of the user's own code, and the
        versions of the code that trains where it changed.
        """
        recipe = described(self._settings, self.techniques)
        if self.arms:
            base = self._settings, self.techniques
            recipe["arms"] = {name: changes(base, (arm._settings, arm.techniques)) for name, arm in self.arms.items()}
        own = own_code([self._settings, *(arm._settings for arm in self.arms.values())], self._schedules())
        return {"objective": "pytorch", **recipe, "content": self._load("cpu").digest, **own}

    def _schedules(self) -> list[str]:
        return [recipe.training.schedule for recipe in (self, *self.arms.values())]

    def check(self, params: Mapping[str, Any]) -> None:
        """Say what cannot work.

        Raises:
            ObjectiveError: naming the parameter, its value and the mend.
            StudyError: for a schedule that cannot be read.
        """
        settings, _ = self.settings_of(params)
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
        batch, n = settings.training.batch, len(data.train[1])
        if batch < 1:
            raise ObjectiveError(f"batch must be at least 1, not {batch}")
        if batch > n:
            raise ObjectiveError(
                f"batch {batch} is larger than the training split of {n} examples; lower the batch axis"
            )
        if settings.training.tested not in ("best", "last"):
            raise ObjectiveError(f'tested is "best" or "last", not {settings.training.tested!r}')
        if settings.training.rate_rule not in RULES:
            raise ObjectiveError(f"rate_rule is one of {', '.join(RULES)}, not {settings.training.rate_rule!r}")

    def looks_at_length(self, params: Mapping[str, Any]) -> bool:
        """Whether the schedule or a technique looks at how long the training will be."""
        return looks_at_length(*self.settings_of(params))

    def continuing(self, points: Sequence[Mapping[str, Any]]) -> Recipe:
        """This recipe with ends of trainings kept, so that longer ones go on from there (``[training] keep_mb``).

        Raises:
            ObjectiveError: the schedule or a technique at one of ``points`` looks at the length of the training, so
                that a shorter one is another training and not the beginning of a longer one.
        """
        for params in points:
            settings, techniques = self.settings_of(params)
            schedule = settings.training.schedule
            if parse(schedule).uses_horizon:
                raise ObjectiveError(
                    f'rungs need trainings that begin alike at any length, but the schedule "{schedule}" stretches '
                    f"over all of it; give it its length as an argument, or leave out rungs"
                )
            if techniques.beyond_stopping:
                used = next(name for name, value in vars(techniques).items() if value and name != "early_stopping")
                raise ObjectiveError(
                    f"rungs need trainings that go on where a shorter one ended, which [{used}] does not allow; leave "
                    f"out [{used}] or rungs"
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
            for trial in self._train(bundle, report):
                yield whole(trial, self)

    def _train(self, bundle: Bundle, report: Report) -> Iterator[Trial]:
        data = self.split()
        wanted = [(training, *self.settings_of(training.params)) for training in bundle.trainings]
        if all(self._stacks(settings, techniques) for _, settings, techniques in wanted):
            members = [(training, settings, techniques.early_stopping) for training, settings, techniques in wanted]
            yield from train_stack(members, data, self.seed, report, self._states("stack"))
            return
        for i, (training, settings, techniques) in enumerate(wanted):

            def share(done: float, before: int = i) -> None:
                report((before + done) / len(wanted))

            yield train_one(training, settings, data, self.seed, share, techniques, self._states("loop"))

    def _states(self, trained_by: str) -> States | None:
        """Where ends of trainings are kept, if they are; the two ways to train keep other things."""
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
