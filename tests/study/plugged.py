"""A plug-in package for the tests: a stage, objectives and a schedule, annotated without postponed evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from zonesearch import Job, Plan, Space, Training, Trial, Trials
from zonesearch.core.metric import Metric
from zonesearch.search.stage import Forecast
from zonesearch.statistics.candidates import Candidate


@dataclass(frozen=True)
class Corners:
    """A stage that trains the corners of the space."""

    space: Space
    epochs: int
    seeds: int = 1
    scale: float = 1.0
    names: tuple[str, ...] = ()
    limit: Optional[int] = None  # noqa: UP045 - written as others write it
    name: str = "corners"

    def plan(self, given: Any, trials: Trials) -> Plan:
        points = [{axis.name: axis.row()[i] for axis in self.space.axes} for i in (0, -1)]
        trainings = tuple(Training(point, 0, self.epochs) for point in points)
        best = max((t for t in map(trials.get, trainings) if t and t.complete), key=Trial.value, default=None)
        output = () if best is None else (Candidate(best.params, best.value(), 0.0, 1, "corner"),)
        return Plan(trainings, output)

    def forecast(self, given: Any) -> Forecast:
        return Forecast(2, self.epochs, 1, self.plan(None, Trials()).trainings)


class Four:
    """An objective with the four methods and nothing else, not even settings."""

    slope = 1.0

    def fingerprint(self) -> Mapping[str, Any]:
        return {"four": self.slope}

    def check(self, params: Mapping[str, Any]) -> None:
        pass

    def jobs(self, trainings: Sequence[Training]) -> list[Job]:
        return [Job((training,)) for training in trainings]

    def train(self, job: Job, report: Any) -> Iterator[Trial]:
        for training in job.trainings:
            yield Trial(training, accuracy=self.slope * float(training.params["x"]) / 10)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Table(Four):
    """The same with settings, in a table of its own."""

    slope: float = 1.0
    steps: int = 3


class FromTables(Four):
    """Reads its tables itself."""

    tables = ("wind", "data")

    def __init__(self, slope: float) -> None:
        self.slope = slope

    @classmethod
    def from_tables(cls, tables: Mapping[str, Mapping[str, Any]], seed: int) -> "FromTables":
        return cls(tables["wind"]["slope"] + tables["data"]["offset"] + seed)


class Halving:
    """A schedule with a rate and no more."""

    def __init__(self, every: int = 1) -> None:
        self.every = every

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        return base * 0.5 ** (step // (steps_per_epoch * self.every))


METRIC = Metric("rmse")
