"""Names of version 0.1 that others may have written go on working."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import zonesearch
from zonesearch.core.objective import Job, Report
from zonesearch.core.trials import Training, Trial
from zonesearch.run.running import run_pipeline


class Older:
    """An objective as version 0.1 asked for one: its jobs are made by ``bundles``."""

    def fingerprint(self) -> Mapping[str, Any]:
        return {"kind": "older"}

    def check(self, params: Mapping[str, Any]) -> None:
        pass

    def bundles(self, trainings: Sequence[Training]) -> list[Job]:
        return [zonesearch.Bundle((training,)) for training in trainings]

    def train(self, bundle: Job, report: Report) -> Iterator[Trial]:
        for training in bundle.trainings:
            x = float(training.params["x"])
            yield Trial(training, accuracy=1 - (x - 0.5) ** 2 + 1e-3 * training.seed)


def test_objective_whose_jobs_are_called_bundles_is_searched() -> None:
    result = run_pipeline({"x": {"low": 0.0, "high": 1.0, "row": 4}}, objective=Older(), seeds=2)
    assert result.zones[0].peak["x"] == 0.5
    assert result.findings is result.results


def test_job_is_found_under_its_former_name() -> None:
    assert zonesearch.Bundle is zonesearch.Job
    assert "Bundle" not in zonesearch.__all__
