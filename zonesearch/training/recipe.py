"""A PyTorch recipe as an objective: how a controlled network is built and trained."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zonesearch.core.measured import is_own, measured_metric, own_or_built_in
from zonesearch.core.metric import Metric
from zonesearch.core.objective import Job, Report, whole
from zonesearch.core.tables import laid_over
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import ObjectiveError, StudyError, ZoneSearchError, did_you_mean
from zonesearch.training.augmentation import check_augmentation
from zonesearch.training.batch_rules import RULES, steps_in_epoch
from zonesearch.training.data import Split, load, share
from zonesearch.training.description import FORMER, changes, described
from zonesearch.training.evaluations import always_every_epoch, check_evaluations, evaluate_every
from zonesearch.training.gpu import gpus, stack_limits
from zonesearch.training.heads import FEATURES, is_head, on_features
from zonesearch.training.loop import train_one
from zonesearch.training.losses import check_loss
from zonesearch.training.memory import saying_what_does_not_fit
from zonesearch.training.metrics import check_measured, check_metric
from zonesearch.training.networks import check_network, n_parameters
from zonesearch.training.numerics import check_precision
from zonesearch.training.optimizers import check_optimizer
from zonesearch.training.own_code import own_code, plug_ins_among
from zonesearch.training.precision import AUTO, most_exact, pays, precision_used, with_precision
from zonesearch.training.refitting import all_data, refitting
from zonesearch.training.schedules import Sweep, parse
from zonesearch.training.settings import (
    AugmentationSettings,
    DataSettings,
    NetworkSettings,
    OptimizerSettings,
    Settings,
    TrainingSettings,
)
from zonesearch.training.stack import Limits, group, is_stackable, train_stack
from zonesearch.training.states import States
from zonesearch.training.techniques import TECHNIQUE_TABLES, Techniques, length_reason
from zonesearch.training.versions import on_versions

__all__ = ["Recipe"]

Keep = Callable[[Training, nn.Module], None]
"""Called with a training and its network."""

_KEEP_MB = 2000  # for states of finished trainings, if longer trainings are expected
_STEP_COST, _STACKED_STEP_COST = 2e-4, 2e-5  # of an empty step: seconds on one ordinary core
_UPDATE_COST = 1.5e-9  # per parameter in the optimizer's pass
_FLOP_COST = 2e-11


@dataclass(frozen=True)
class Recipe:
    """The controlled network: settings of data, network, optimizer and training, which the params of a training
    override.

    Args:
        data, network, optimizer, training: the fixed settings.
        seed: of the study.
        techniques: what happens around the optimizer's steps.
        arms: other recipes on the same data by name, for comparisons; the parameter ``arm`` picks one.
        called: the table ``[metric]``: the name and unit of the metric, if given.
        tried: plug-ins that the search names in addition to these settings, as (kind, name).
        said: keys of ``[training]`` that are set explicitly.
    """

    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    training: TrainingSettings = TrainingSettings()
    seed: int = 0
    techniques: Techniques = Techniques()
    arms: Mapping[str, Recipe] = field(default_factory=dict)
    augmentation: AugmentationSettings = AugmentationSettings()
    called: Mapping[str, Any] = field(default_factory=dict)
    tried: tuple[tuple[str, str], ...] = ()
    said: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def from_tables(cls, tables: Mapping[str, Mapping[str, Any]], seed: int = 0) -> Recipe:
        """Read the tables of a study file: ``[data] [network] [optimizer] [training] [metric]``, techniques, arms.

        A table ``[arms.NAME]`` holds settings of other tables (``training.schedule = ...``) that apply when the
        parameter ``arm`` is NAME.

        Raises:
            StudyError: naming the table, the key and the closest valid one.
        """
        tables = dict(tables)
        called = tables.pop("metric", {})
        arms = {name: laid_over(tables, name, arm) for name, arm in tables.pop("arms", {}).items()}
        known = (*(part.name for part in fields(Settings)), *TECHNIQUE_TABLES)
        for name in tables:
            if name not in known:
                raise StudyError(f"a pytorch objective has no table [{name}]; {did_you_mean(name, known)}")
        settings = Settings.from_tables(tables)
        parse(settings.training.schedule)
        settings = _measuring(settings, called)
        made = {name: cls.from_tables({**arm, "metric": called}, seed) for name, arm in arms.items()}
        techniques = Techniques.from_tables(tables)
        said = frozenset(tables.get("training", ()))
        recipe = cls(**vars(settings), seed=seed, techniques=techniques, arms=made, called=called, said=said)
        for name, arm in made.items():
            if arm.metric != recipe.metric:
                raise StudyError(f"[arms.{name}] measures {arm.metric.name}, the study {recipe.metric.name}: arms are "
                                 "compared by one metric")  # fmt: skip
        return recipe

    def settings_tables(self) -> dict[str, Any]:
        """All its settings including defaults, as :meth:`from_tables` would read them; under ``arms`` those of each
        arm.
        """
        tables: dict[str, Any] = {
            **{part: vars(table) for part, table in vars(self._settings).items()},
            **self.techniques.describe(),
        }
        return {**tables, "arms": {name: arm.settings_tables() for name, arm in self.arms.items()}}

    @property
    def metric(self) -> Metric:
        """The metric of its trials."""
        own = is_own(self.training.metric)  # the others have a known direction
        direction = self.training.direction if own else ""
        return measured_metric(self.data.task, self.training.metric, direction, self.called)

    def fingerprint(self) -> Mapping[str, Any]:
        """The settings that differ from their defaults, digests of the data and of the user's own code, and versions of
        training code that has changed.
        """
        recipe = described(self._of_identity, self.techniques)
        if not self.metric.maximized:  # 0.1.0 flipped the sign of its values: those trials belong to another experiment
            recipe["code"] = {**recipe.get("code", {}), "sign": 2}
        if self.arms:
            base = self._of_identity, self.techniques
            recipe["arms"] = {
                name: changes(base, (arm._of_identity, arm.techniques)) for name, arm in self.arms.items()
            }
        data = self._load("cpu")
        if data.limited:
            recipe["data"] = {**recipe.get("data", {}), **data.limited}
        code = {**data.code}
        if data.given is not None and any(r.network.is_factory for r in (self, *self.arms.values())):
            code["integers"] = 2
        if code:
            recipe["code"] = {**recipe.get("code", {}), **code}
        own = own_code([self._settings, *(arm._settings for arm in self.arms.values())], self._schedules(), self.tried)
        return {"objective": "pytorch", **recipe, "content": data.digest, **own}

    def formers(self) -> list[Recipe]:
        """This recipe with former defaults for settings that are not set explicitly, the latest first: what it meant
        when a run that leaves them out of its identity was started.
        """
        names = list(FORMER["training"])
        return [self._before(names[i:]) for i in reversed(range(len(names)))]

    def former(self) -> Recipe:
        """The earliest of :meth:`formers`: with the defaults of version 0.1.0."""
        return self.formers()[-1]

    def _before(self, names: Sequence[str]) -> Recipe:
        """This recipe with the former defaults of these settings."""
        unsaid = {name: FORMER["training"][name] for name in names if name not in self.said}
        arms = {name: arm._before(names) for name, arm in self.arms.items()}
        return replace(self, training=replace(self.training, **unsaid), arms=arms)

    def trying(self, points: Sequence[Mapping[str, Any]]) -> Recipe:
        """This recipe for a search in which these params occur; the plug-ins that they name become part of its
        identity.
        """
        keys = Settings.names()
        values = [(keys.get(name), value) for params in points for name, value in params.items()]
        schedules = [value for key, value in values if key == ("training", "schedule")]
        tried = plug_ins_among(schedules, [value for key, value in values if key == ("network", "kind")])
        return replace(self, tried=tried) if tried else self

    def _schedules(self) -> list[str]:
        return [recipe.training.schedule for recipe in (self, *self.arms.values())]

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse params that cannot work.

        Raises:
            ObjectiveError: naming the parameter, its value and the mend.
            StudyError: for a schedule that cannot be read.
        """
        settings, techniques = self.settings_of(params)
        check_network(settings.network)
        check_optimizer(settings.optimizer)
        check_metric(settings)
        check_precision(settings.training.precision, settings.training.device)
        parse(settings.training.schedule)
        check_evaluations(settings)
        data = self._load("cpu").seen_by(settings.network.is_factory)
        check_loss(settings, data.n_classes)
        check_measured(settings, data.validation[1], data.test[1])
        if data.preprocessing.kind == "collated" and not settings.network.is_factory:
            raise ObjectiveError(
                f'[data] collate makes batches for a network of your own, [network] kind = "package.module:function", '
                f'not for "{settings.network.kind}"'
            )
        if settings.augmentation and data.preprocessing.kind != "numbers":
            raise ObjectiveError(
                "[augmentation] is for images; these inputs are whole numbers, or batches that [data] collate makes"
            )
        check_augmentation(settings.augmentation, data.shape)
        if not settings.network.is_factory:
            n_parameters(settings.network, data.shape, data.n_outputs)
        if settings.training.clip < 0:
            raise ObjectiveError(f"clip must be 0 (off) or more, not {settings.training.clip}")
        if (
            settings.network.kind == "backbone"
            and settings.network.body_rate != 1
            and settings.optimizer.name == "lbfgs"
        ):
            raise ObjectiveError("lbfgs has one learning rate for all weights; leave [network] body_rate at 1")
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
        feed_forward = (
            settings.network.kind == "mlp" or settings.network.is_factory
        )  # which can be checked only once they are built
        if settings.network.base_width and not (feed_forward and settings.optimizer.name != "lbfgs"):
            raise ObjectiveError(
                "base_width carries the learning rate of feed-forward networks over, under any optimizer but lbfgs; "
                "leave [network] base_width at 0"
            )

    def rate_tie(self, params: Mapping[str, Any]) -> float:
        """The factor by which the batch rule multiplies the learning rate of a training with these params."""
        return self.settings_of(params)[0].rate_tie(len(self._load("cpu").train[1]))

    def check_length(self, training: Training) -> None:
        """Refuse a training whose length cannot work, if that is known beforehand.

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

    def looks_at_length(self, params: Mapping[str, Any]) -> bool:
        """Whether the schedule or a technique depends on the length of the training."""
        return bool(length_reason(*self.settings_of(params)))

    def continuing(self, points: Sequence[Mapping[str, Any]]) -> Recipe:
        """This recipe with states of finished trainings kept, so that longer ones continue from there (``[training]
        keep_mb``).

        Raises:
            ObjectiveError: the schedule or a technique at one of ``points`` depends on the length of the training, so a
                shorter training is not the beginning of a longer one.
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
                    f"rungs need trainings that begin the same way at any length, but {reason}; give it its "
                    f"length as an "
                    f"argument, or leave out rungs"
                )
        return replace(self, training=replace(self.training, keep_mb=self.training.keep_mb or _KEEP_MB))

    def jobs(self, trainings: Sequence[Training]) -> list[Job]:
        """Jobs of networks that can train together as one program, and of single networks; priced by steps and
        arithmetic.

        The same on every machine, so that shards agree; :meth:`joined` adapts them to the device.
        """
        return self._jobs(trainings, Limits.of_processor)

    def joined(self, jobs: Sequence[Job], n_workers: int) -> list[Job]:
        """Jobs as this machine trains them (:class:`zonesearch.core.objective.Joining`): on a GPU, stacks as large as
        its memory allows; on processors as they are, each with the cost of what is left of it: the largest networks of
        a stack may be all that is missing, and then it is long.
        """
        if self._device() != "cuda":
            return [Job(job.trainings, math.fsum(map(self._cost, job.trainings))) for job in jobs]
        found = gpus()
        trainings = [training for job in jobs for training in job.trainings]
        return self._jobs(trainings, lambda cost: stack_limits(found, n_workers, cost))

    def _jobs(self, trainings: Sequence[Training], limits: Callable[[float], Limits]) -> list[Job]:
        costs = {training: self._cost(training) for training in dict.fromkeys(trainings)}
        stackable: list[tuple[Training, Settings]] = []
        heads: dict[Any, list[tuple[Training, Settings]]] = {}  # by what features depend on
        jobs: list[tuple[Training, ...]] = []
        larger = set()
        for training in costs:
            settings, techniques = self.settings_of(training.params)
            if self._is_head(settings, techniques):
                alike = settings.network, settings.augmentation or None
                heads.setdefault(alike, []).append((training, self._evaluating(settings)))
                continue
            if not self._stacks(settings, techniques):
                jobs.append((training,))
                continue
            stackable.append((training, self._evaluating(settings)))
            if settings.training.precision == AUTO and self._gains(settings, techniques, training.params):
                larger.add(training)
        total = math.fsum(costs.values())
        jobs += group(stackable, costs.__getitem__, self._n_parameters, limits(total), larger.__contains__)
        for members in heads.values():
            jobs += group(members, costs.__getitem__, self._n_head, limits(total))
        return [Job(members, math.fsum(costs[training] for training in members)) for members in jobs]

    def train(self, job: Job, report: Report, keep: Keep | None = None) -> Iterator[Trial]:
        """Train a job as a stack, or one network after the other.

        Args:
            job: what is trained.
            report: called with the completed fraction. keep: called with the network of each training that measures the
                test split, as that split sees it; all are then trained from the beginning.
        """
        metric = self.metric
        with saying_what_does_not_fit(lambda: self._largest(job.trainings)):
            for trial in self._train(job, report, keep):
                trial = with_precision(trial, self.settings_of(trial.params)[0].training.precision)
                yield whole(trial if trial.metric == metric else replace(trial, metric=metric), self)

    def unstacked(self) -> Recipe:
        """The same recipe, with every network trained separately."""
        arms = {name: arm.unstacked() for name, arm in self.arms.items()}
        return replace(self, training=replace(self.training, stack=False), arms=arms)

    def refit(
        self,
        training: Training,
        n_epochs: int,
        past: Sequence[float],
        report: Report,
        keep: Callable[[nn.Module], None],
    ) -> Trial:
        """Train on the training and validation splits together, for the first ``n_epochs`` epochs.

        Its validation values are for examples that it was trained on: only the test value is meaningful.

        Args:
            training: with the length that schedules and techniques see.
            n_epochs: the number that validation chose.
            past: validation scores of the same setting when that split was held out, for schedules that read them;
                larger is better.
            report, keep: as for one training of :meth:`train`.
        """
        settings, techniques = self.computed(training.params)
        settings = replace(settings, training=replace(settings.training, tested="last"))
        with saying_what_does_not_fit(lambda: self._largest((training,))):
            return train_one(
                training, settings, all_data(self.split()), self.seed, report, refitting(techniques, n_epochs, past),
                keep=keep,
            )  # fmt: skip

    def _train(self, job: Job, report: Report, keep: Keep | None = None) -> Iterator[Trial]:
        data = self.split()
        wanted = [(training, *self.computed(training.params)) for training in job.trainings]
        epochs = max(training.epochs for training in job.trainings)
        stacked = all(self._stacks(settings, techniques) for _, settings, techniques in wanted)
        if stacked and (seen := on_versions(wanted[0][1], data, self.seed, epochs)) is not None:
            members = [(training, settings, techniques.early_stopping) for training, settings, techniques in wanted]
            states = self._states("stack, 3", wanted[0][1]) if keep is None else None
            yield from train_stack(members, data, self.seed, report, states, keep, seen)
            return
        if all(self._is_head(settings, techniques) for _, settings, techniques in wanted):
            tested = any(training.test for training in job.trainings)
            seen = on_features(wanted[0][1], data, tested, self.seed, epochs)
            if seen is not None:
                members = [(training, settings, each.early_stopping) for training, settings, each in wanted]
                states = self._states("heads, 1", wanted[0][1]) if keep is None else None
                yield from train_stack(members, data, self.seed, report, states, keep, seen)
                return
        for i, (training, settings, techniques) in enumerate(wanted):

            def share(done: float, before: int = i) -> None:
                report((before + done) / len(wanted))

            states = self._states("loop, 4", settings) if keep is None else None
            taken = None if keep is None else partial(keep, training)
            yield train_one(training, settings, data, self.seed, share, techniques, states, taken)

    def _states(self, trained_by: str, settings: Settings) -> States | None:
        """Where states of finished trainings are kept, if they are; the training paths keep different states.

        Args:
            trained_by: the path, and the version of its states.
            settings: of the training, with the precision that is used: another machine that shares the folder, or
                another version, may use another one, and a training is continued in that in which it began.
        """
        if not self.training.keep_mb:
            return None
        text = json.dumps(self.fingerprint(), sort_keys=True, default=str)
        trained_by = f"{trained_by} {settings.training.precision}"
        experiment = hashlib.sha256(f"{trained_by} {self._device()} {text}".encode()).hexdigest()[:16]
        return States.of_user(experiment, self.training.keep_mb)

    @property
    def _settings(self) -> Settings:
        return Settings(self.data, self.network, self.optimizer, self.training, self.augmentation)

    @property
    def _of_identity(self) -> Settings:
        """The settings as they enter the identity: automatic ones with only one possible value are resolved."""
        data = self._load("cpu")
        if not always_every_epoch(self._settings, len(data.train[1]), len(data.validation[1])):
            return self._settings
        return replace(self._settings, training=replace(self.training, evaluate_every=1))

    def _evaluating(self, settings: Settings) -> Settings:
        """Settings with the number of epochs between evaluations filled in."""
        data = self._load("cpu")
        every = evaluate_every(settings, len(data.train[1]), len(data.validation[1]))
        return replace(settings, training=replace(settings.training, evaluate_every=every))

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
                raise ObjectiveError(f'unknown arm "{name}"; {did_you_mean(str(name), self.arms)}')
            recipe = self.arms[name]
        techniques, rest = recipe.techniques.with_params(rest)
        return recipe._settings.with_params(rest), techniques

    def computed(self, params: Mapping[str, Any]) -> tuple[Settings, Techniques]:
        """As :meth:`settings_of`, with the precision that this machine uses."""
        settings, techniques = self.settings_of(params)
        asked = settings.training.precision
        compared = [settings, *(each for each, _ in self._rivals(params))] if asked == AUTO else [settings]
        large = asked == AUTO and self._gains(settings, techniques, params)
        used = most_exact(precision_used(each, large, self._device()) for each in compared)
        return replace(settings, training=replace(settings.training, precision=used)), techniques

    def _gains(self, settings: Settings, techniques: Techniques, params: Mapping[str, Any]) -> bool:
        """Whether ``auto`` computes a training in bfloat16 where a machine has it.

        Arms are compared with each other, so they are computed alike: in bfloat16 if each of them alone would be.
        """
        return all(pays(*each, self._load("cpu")) for each in ((settings, techniques), *self._rivals(params)))

    def _rivals(self, params: Mapping[str, Any]) -> list[tuple[Settings, Techniques]]:
        """The arms at these params, as far as each can take them; without those that set their precision themselves."""
        found = [(arm._taking(params), arm.techniques) for arm in self.arms.values()]
        return [(settings, techniques) for settings, techniques in found if settings.training.precision == AUTO]

    def _taking(self, params: Mapping[str, Any]) -> Settings:
        """The settings with as many of these params as they can take."""
        settings = self._settings
        for name, value in params.items():
            with suppress(ObjectiveError):
                settings = settings.with_params({name: value})
        return settings

    def split(self) -> Split:
        """The data, on the device on which trainings run."""
        return self._load(self._device())

    def share_data(self, folder: Path) -> None:
        """Put the data where workers will look for them (see :class:`zonesearch.core.objective.SharesData`)."""
        share(self.data, self.seed, folder, self.training.precision == "float64")

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

    def _is_head(self, settings: Settings, techniques: Techniques) -> bool:
        return self._load("cpu").n_classes > 0 and is_head(settings, techniques)

    def _n_head(self, settings: Settings) -> int:
        """About how many parameters a head has."""
        return FEATURES * self._load("cpu").n_outputs

    def _size(self, settings: Settings) -> int:
        """Number of parameters; 0 if the user's factory raises, in which case the training will fail and say why."""
        try:
            return self._n_parameters(settings)
        except ZoneSearchError:
            raise
        except Exception:
            return 0

    def _n_parameters(self, settings: Settings) -> int:
        data = self._load("cpu").seen_by(settings.network.is_factory)
        return n_parameters(settings.network, data.shape, data.n_outputs)

    def _largest(self, trainings: Sequence[Training]) -> str:
        """A sentence on what does not fit in memory."""
        settings = [self.settings_of(training.params)[0] for training in trainings]
        n, batch = max(self._size(each) for each in settings), max(each.training.batch for each in settings)
        network = f"a network of {n:,} parameters" if n else "the network"
        return (
            f"out of memory on {self._device()}: {network} in batches of {batch} does not fit; end these axes lower, "
            f"or train where there is more memory"
        )

    def _cost(self, training: Training) -> float:
        """Estimated seconds of the training on one core."""
        settings, techniques = self.settings_of(training.params)
        n, batch = len(self._load("cpu").train[1]), settings.training.batch
        head = self._is_head(settings, techniques)
        weights = self._n_head(settings) if head else self._size(settings)
        steps = steps_in_epoch(n, batch, settings.training.steps_per_epoch)
        step = _STACKED_STEP_COST if head or self._stacks(settings, techniques) else _STEP_COST
        return training.epochs * (steps * (step + weights * _UPDATE_COST) + 6 * n * weights * _FLOP_COST)


def _measuring(settings: Settings, called: Mapping[str, Any]) -> Settings:
    """The settings with the metric and direction from the table ``[metric]``."""
    task, training = settings.data.task, settings.training
    metric = own_or_built_in(task, training.metric, called)
    direction = measured_metric(task, metric, training.direction, called).direction
    own = str(direction) if is_own(metric) and not training.direction and "direction" in called else training.direction
    return replace(settings, training=replace(training, metric=metric, direction=own))
