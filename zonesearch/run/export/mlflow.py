"""A run in MLflow: a parent run for the study with one child run per training, with parameters, curves and values.

MLflow itself is queried for what is already there: children are found by a tag with their key, and another tag holds
the number of exported epochs. A child is marked as finished last, so one that a killed export left incomplete is
removed and exported again.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zonesearch.core.wording import excerpt
from zonesearch.errors import StoreError
from zonesearch.run.export.tracked import Tracked, study_facts, study_values
from zonesearch.run.storage.urls import shown_url
from zonesearch.statistics.search_results import SearchResults

__all__ = ["MlflowTracking"]

_PARENT = "mlflow.parentRunId"
_STUDY, _KEY, _EPOCHS = "zonesearch.study", "zonesearch.key", "zonesearch.epochs"
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # makes the page show runs rather than traces
_METRICS_AT_ONCE = 1000  # the most in one request
_PAGE = 1000


class MlflowTracking:
    """An MLflow tracking server or store.

    Args:
        uri: ``http://HOST:PORT``, ``sqlite:///FILE``, or anything else that MLflow accepts.

    Raises:
        StoreError: MLflow is not installed, or the URI is invalid.
    """

    def __init__(self, uri: str) -> None:
        # report an unreachable server within seconds, unless the user has set these
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines per training
        try:
            from mlflow import entities
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise StoreError(f"MLflow is not installed here ({error}): pip install 'zonesearch[mlflow]'") from error
        self._uri, self._entities, self._error = uri, entities, MlflowException
        self.run_id = ""
        with self._errors():
            self._client = MlflowClient(tracking_uri=uri)

    def write(self, results: SearchResults, trainings: Iterable[Tracked], experiment: str | None = None) -> int:
        """Add whatever is new; returns the number of trainings that were added or extended.

        Args:
            results: the run as it stands.
            trainings: all of its trainings.
            experiment: the name of the MLflow experiment; by default the study's.

        Raises:
            StoreError: the server does not respond. What was added before stays, and the same call continues later.
        """
        with self._errors():
            place = self._experiment(experiment or results.name)
            self.run_id = parent = self._parent(place, results)
            told = {training.key: training for training in trainings}
            known = self._children(place, parent, told)
            n = sum(self._training(place, parent, training, known.get(key)) for key, training in told.items())
            self._study(parent, results)
        return n

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return str(self._client.create_experiment(name, tags=_KIND))
        if found.lifecycle_stage != "active":
            raise StoreError(
                f'the MLflow experiment "{name}" was deleted there: restore it, or name another --experiment'
            )
        return str(found.experiment_id)

    def _parent(self, place: str, results: SearchResults) -> str:
        for run in self._search(place, f"tags.`{_STUDY}` = '{results.fingerprint}'"):
            return str(run.info.run_id)
        run = self._client.create_run(place, run_name=results.name, tags={_STUDY: results.fingerprint})
        facts = study_facts(results)
        self._log(run.info.run_id, params={name: facts[name] for name in ("space", "stages", "metric")})
        return str(run.info.run_id)

    def _children(self, place: str, parent: str, told: Mapping[str, Tracked]) -> dict[str, tuple[str, int]]:
        """By key, the run and its epochs; removes incomplete exports, and failed trainings that have been completed
        since.
        """
        known: dict[str, tuple[str, int]] = {}
        for run in self._search(place, f"tags.`{_PARENT}` = '{parent}'"):
            tags = run.data.tags
            training = told.get(tags.get(_KEY, ""))
            mended = training is not None and training.complete and run.info.status == "FAILED"
            if _KEY in tags and (mended or run.info.status == "RUNNING"):
                self._client.delete_run(run.info.run_id)
            elif _KEY in tags:
                known[tags[_KEY]] = run.info.run_id, int(tags.get(_EPOCHS, 0))
        return known

    def _training(self, place: str, parent: str, training: Tracked, known: tuple[str, int] | None) -> bool:
        told = known[1] if known else 0
        if told >= training.epochs:
            return False
        end = training.started + training.seconds
        if known is None:
            tags = {_PARENT: parent, _KEY: training.key}
            start_ms = int(1000 * training.started)
            run_id = self._client.create_run(place, start_ms, tags=tags, run_name=training.name[:250]).info.run_id
            self._log(run_id, params=training.params)
        else:
            run_id = known[0]
            self._client.update_run(run_id, status="RUNNING")
        metrics = []
        for name, curve in training.curves.items():
            per_epoch = training.seconds / max(1, len(curve))
            for epoch, value in enumerate(curve, start=1):
                if epoch > told:
                    metrics.append(self._metric(name, value, training.started + epoch * per_epoch, epoch))
        metrics += [self._metric(name, value, end, training.epochs) for name, value in training.values.items()]
        facts = {f"zonesearch.{name}": fact for name, fact in training.facts.items()}
        self._log(run_id, metrics=metrics, tags={**facts, _EPOCHS: str(training.epochs)})
        self._client.set_terminated(run_id, "FINISHED" if training.complete else "FAILED", int(1000 * end))
        return True

    def _study(self, parent: str, results: SearchResults) -> None:
        """Update what is stored about the study, if it has changed."""
        facts, values = study_facts(results), study_values(results)
        note = f"{facts['verdict']}\n\n{facts['notes']}".strip()
        run = self._client.get_run(parent)
        changed = {name: value for name, value in values.items() if run.data.metrics.get(_name(name)) != value}
        step = len(results.trials)
        if changed:
            self._log(parent, metrics=[self._metric(name, value, time.time(), step) for name, value in changed.items()])
        if run.data.tags.get("mlflow.note.content") != note:
            self._log(parent, tags={"mlflow.note.content": note})
        status = "FINISHED" if results.finished else "RUNNING"
        if run.info.status != status:
            if results.finished:
                self._client.set_terminated(parent, status)
            else:
                self._client.update_run(parent, status=status)

    def _metric(self, name: str, value: float, when: float, step: int) -> Any:
        return self._entities.Metric(_name(name), value, int(1000 * when), step)

    def _log(
        self,
        run_id: str,
        *,
        metrics: list[Any] | tuple[Any, ...] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        told = [self._entities.Param(_name(name), str(value)[:500]) for name, value in (params or {}).items()]
        said = [self._entities.RunTag(_name(name), text[:5000]) for name, text in (tags or {}).items()]
        if told:
            self._client.log_batch(run_id, params=told)
        for first in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(run_id, metrics=list(metrics[first : first + _METRICS_AT_ONCE]))
        if said:
            self._client.log_batch(run_id, tags=said)

    def _search(self, place: str, wanted: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([place], wanted, max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn MLflow's exceptions into a StoreError, without its log of retries."""
        quiet = logging.getLogger("urllib3.connectionpool")
        before, quiet.level = quiet.level, logging.ERROR
        try:
            yield
        except StoreError:
            raise
        except (self._error, OSError, ValueError) as error:
            said = excerpt(str(error), 300)
            raise StoreError(
                f"MLflow at {shown_url(self._uri)} does not respond as expected: {said}. The trials of a run are in "
                f"its folder; fix the URI or the server and export again"
            ) from error
        finally:
            quiet.level = before


def _name(name: str) -> str:
    """``name``, with characters that MLflow does not allow replaced."""
    return re.sub(r"[^\w.\- /]", "_", name)
