"""A run in TensorBoard: a folder for the study with one folder per training, with curves and hyperparameters.

    <folder>/<study>-<fingerprint>/           sentences about the study, its best values, the table of hyperparameters
    <folder>/<study>-<fingerprint>/<key>/     one training

Event files are written under a temporary name and renamed, and their names say how many epochs were exported
(``.zonesearch-40`` after 40 epochs; ``-incomplete`` for a failed or diverged training). So the names alone tell what is
there, a killed writer leaves nothing incomplete, and no file is ever rewritten.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zonesearch.errors import StoreError
from zonesearch.run.export.tracked import Tracked, study_facts, study_values
from zonesearch.run.storage.run_folder import store_errors
from zonesearch.statistics.search_results import SearchResults

__all__ = ["TensorBoardFolder"]


class TensorBoardFolder:
    """A folder that TensorBoard reads.

    Args:
        folder: created if missing.

    Raises:
        StoreError: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
            from tensorboard.plugins.hparams import metadata as hparams
            from tensorboard.plugins.text import metadata as text
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise StoreError(
                f"TensorBoard is not installed here ({error}): pip install 'zonesearch[tensorboard]'"
            ) from error
        self._folder, self._records = folder, RecordWriter
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._api, self._plugin_data = api_pb2, plugin_data_pb2
        self._hparams, self._text = hparams, text
        self.study_folder = folder

    def write(self, results: SearchResults, trainings: Iterable[Tracked], now: float) -> int:
        """Add whatever is new; returns the number of trainings that were added or extended.

        Raises:
            StoreError: it cannot be written.
        """
        name = re.sub(r"[^\w.-]+", "-", results.name)
        self.study_folder = self._folder / f"{name}-{results.fingerprint[:8]}"
        told = list(trainings)
        n = 0
        with store_errors(f"TensorBoard's files in {self.study_folder} cannot be written"):
            for training in told:
                n += self._training(self.study_folder / training.key, training, results.metric.name)
            self._study(results, told, now)
        return n

    def _training(self, folder: Path, training: Tracked, metric: str) -> bool:
        known = _epochs_told(folder)
        name = f"zonesearch-{training.epochs}" + ("" if training.complete else "-incomplete")
        if known >= training.epochs or any(file.name.endswith(f".{name}") for file in folder.glob("events.*")):
            return False
        events = []
        end = training.started + training.seconds
        if known == 0:
            start = self._session_start(training)
            words = {"facts": json.dumps(dict(training.facts), indent=2)}
            events += [self._at(training.started, 0, start), *self._texts(training.started, words)]
        for quantity, curve in training.curves.items():
            per_epoch = training.seconds / max(1, len(curve))
            for epoch, value in enumerate(curve, start=1):
                if epoch > known:
                    events.append(self._scalar(training.started + epoch * per_epoch, epoch, f"epoch/{quantity}", value))
        for what, value in training.values.items():
            events.append(self._scalar(end, training.epochs, what if what == metric else f"final/{what}", value))
        status = self._api.STATUS_SUCCESS if training.complete else self._api.STATUS_FAILURE
        ended = self._plugin_data.SessionEndInfo(status=status, end_time_secs=end)
        events.append(self._at(end, training.epochs, self._plugin("SESSION_END_INFO_TAG", session_end_info=ended)))
        self._file(folder, training.started, name, events)
        return True

    def _study(self, results: SearchResults, told: list[Tracked], now: float) -> None:
        facts, values = study_facts(results), study_values(results)
        content = json.dumps([facts, values], sort_keys=True)
        ending = f"zonesearch-study-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        if any(file.name.endswith(ending) for file in self.study_folder.glob("events.*")):
            return
        events = [self._at(now, 0, self._experiment(results, told)), *self._texts(now, facts, len(told))]
        events += [self._scalar(now, len(told), f"study/{name}", value) for name, value in values.items()]
        self._file(self.study_folder, now, ending, events)

    def _experiment(self, results: SearchResults, told: list[Tracked]) -> Any:
        """The columns of the hyperparameter table, and the metric."""
        infos = []
        for name in dict.fromkeys(name for training in told for name in training.params):
            values = [training.params[name] for training in told if name in training.params]
            info = self._api.HParamInfo(name=name)
            if all(isinstance(value, bool) for value in values):
                info.type = self._api.DATA_TYPE_BOOL
            elif not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
                info.type = self._api.DATA_TYPE_STRING
            else:
                info.type = self._api.DATA_TYPE_FLOAT64
            infos.append(info)
        metric = self._api.MetricInfo(name=self._api.MetricName(tag=results.metric.name))
        experiment = self._api.Experiment(hparam_infos=infos, metric_infos=[metric], description=results.name)
        return self._plugin("EXPERIMENT_TAG", experiment=experiment)

    def _session_start(self, training: Tracked) -> Any:
        started = self._plugin_data.SessionStartInfo(group_name=training.name, start_time_secs=training.started)
        for name, value in training.params.items():
            kind = "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "string"
            setattr(started.hparams[name], f"{kind}_value", _text(value) if kind == "string" else value)
        return self._plugin("SESSION_START_INFO_TAG", session_start_info=started)

    def _plugin(self, tag: str, **content: Any) -> Any:
        """A message for TensorBoard's hyperparameter page."""
        data = self._plugin_data.HParamsPluginData(version=self._hparams.PLUGIN_DATA_VERSION, **content)
        metadata = self._hparams.create_summary_metadata(data)
        value = self._summary.Value(
            tag=getattr(self._hparams, tag), metadata=metadata, tensor=self._hparams.NULL_TENSOR
        )
        return self._summary(value=[value])

    def _texts(self, when: float, texts: Mapping[str, str], step: int = 0) -> list[Any]:
        from tensorboard.compat.proto import tensor_pb2, tensor_shape_pb2, types_pb2

        events = []
        for name, text in texts.items():
            if not text:
                continue
            one = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
            tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[text.encode()], tensor_shape=one)
            metadata = self._text.create_summary_metadata(display_name=None, description=None)
            value = self._summary.Value(tag=name, metadata=metadata, tensor=tensor)
            events.append(self._at(when, step, self._summary(value=[value])))
        return events

    def _scalar(self, when: float, step: int, tag: str, value: float) -> Any:
        return self._at(when, step, self._summary(value=[self._summary.Value(tag=tag, simple_value=value)]))

    def _at(self, when: float, step: int, summary: Any) -> Any:
        return self._event(wall_time=when, step=step, summary=summary)

    def _file(self, folder: Path, when: float, ending: str, events: Iterable[Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"events.out.tfevents.{int(when):010d}.{ending}"
        new = folder / f".{ending}.new"
        with new.open("wb") as file:
            records = self._records(file)
            records.write(self._event(wall_time=when, file_version="brain.Event:2").SerializeToString())
            for event in events:
                records.write(event.SerializeToString())
            records.flush()
        new.replace(path)


def _epochs_told(folder: Path) -> int:
    """The number of exported epochs of the training in ``folder``, if it was complete; otherwise 0."""
    found = (re.search(r"\.zonesearch-(\d+)$", file.name) for file in folder.glob("events.*"))
    return max((int(match[1]) for match in found if match), default=0)


def _text(value: Any) -> str:
    """A non-numeric value as text: a list as its items."""
    return value if isinstance(value, str) else json.dumps(value)
