"""The event files of the tracker `tensorboard`, one a trial.

The event file of trial 7 of the study `flowers` lies in `tensorboard/flowers/trial 7`. It is only ever appended to, by
one record an epoch. So the file itself says which epochs it has: it is read when a study goes on. It is cut off before
the first wrong record, and what is missing is written again: a killed process leaves half a record, a power cut zeros.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from hpo.trackers._tracker import TrackedStudy, TrackedTrial, metrics
from hpo.trial import Scalar

STATE = "state"
"""The tag of the text with the state of a trial."""
LENGTH, CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
"""What stands around the content of a record: its length and the checksum of that; then the checksum of the content."""


class TensorBoard:
    """Writes event files below a folder."""

    def __init__(self, folder: Path, study: TrackedStudy) -> None:
        self._folder = folder
        self._study = study
        self._files: dict[int, _EventFile] = {}

    def update(self, trial: TrackedTrial) -> None:
        file = self._files.get(trial.number)
        if file is None:
            folder = self._folder / f"trial {trial.number}"
            file = self._files[trial.number] = _EventFile(folder / _file_name(self._study), self._study.began)
            if file.is_empty:
                file.begin(trial)
        for report in trial.reports:
            if report.fidelity > file.epoch:
                file.add_epoch(report.fidelity, metrics(report), trial.seconds(report.fidelity))
        last = trial.reports[-1].fidelity if trial.reports else 0
        if trial.state != file.state:
            file.add_state(trial, last, trial.seconds(last))
        file.flush()
        if trial.is_over or trial.state == "paused":
            self._files.pop(trial.number).close()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


class _EventFile:
    """The event file of one trial, open for appending."""

    def __init__(self, path: Path, began: float) -> None:
        self._began = began
        self.epoch = 0
        """The last epoch in the file."""
        self.state: str | None = None
        """The state that the file ends with."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("ab")
        size = self._read(path.read_bytes())
        self._file.truncate(size)
        self.is_empty = size == 0
        self._records = RecordWriter(self._file)

    def begin(self, trial: TrackedTrial) -> None:
        """Write what stands at the beginning: the version of the format, and the hyperparameters."""
        self._write(Event(wall_time=self._began, file_version="brain.Event:2"))
        parameters = {name: _plain(value) for name, value in trial.parameters.items()}
        started = summary_v2.hparams_pb(parameters, trial_id=f"trial {trial.number}", start_time_secs=self._began)
        self._write(Event(wall_time=self._began, summary=started))

    def add_epoch(self, epoch: int, values: dict[str, float], seconds: float) -> None:
        """Write the metrics of an epoch, as one record."""
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(wall_time=self._began + seconds, step=epoch, summary=Summary(value=scalars)))
        self.epoch = epoch

    def add_state(self, trial: TrackedTrial, epoch: int, seconds: float) -> None:
        """Write the state as a text and, if the trial is over, as the end of its session in the table of parameters."""
        words = trial.state if trial.error is None else f"{trial.state}: {trial.error}"
        text = TensorProto(dtype=DT_STRING, string_val=[words.encode()])
        value = Summary.Value(tag=STATE, tensor=text, metadata=create_summary_metadata(STATE, None))
        self._write(Event(wall_time=self._began + seconds, step=epoch, summary=Summary(value=[value])))
        if trial.is_over:
            self._write(_session_end(self._began + seconds, failed=trial.error is not None))
        self.state = trial.state

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())

    def _read(self, content: bytes) -> int:
        """Note the last epoch and the last state of a file. Returns the length of its records that are whole and right.

        It is 0 if one of those that `begin` writes is missing.
        """
        offset, has_begun = 0, False
        for event, end in _events(content):
            offset = end
            for value in event.summary.value:
                if value.tag == STATE:
                    self.state = value.tensor.string_val[0].decode().partition(":")[0]
                elif value.tag == metadata.SESSION_START_INFO_TAG:
                    has_begun = True
                elif value.HasField("simple_value"):
                    self.epoch = event.step
        return offset if has_begun else 0


def _events(content: bytes) -> Iterator[tuple[Event, int]]:
    """The events of a file up to the first wrong record, each with the offset at which its record ends."""
    start = 0
    while start < len(content):
        header = content[start : start + LENGTH.size]
        body = start + LENGTH.size + CHECKSUM.size
        if body > len(content) or content[start + LENGTH.size : body] != CHECKSUM.pack(masked_crc32c(header)):
            return
        end = body + LENGTH.unpack(header)[0]
        data, start = content[body:end], end + CHECKSUM.size
        if start > len(content) or content[end:start] != CHECKSUM.pack(masked_crc32c(data)):
            return
        try:
            event = Event.FromString(data)
        except DecodeError:
            return
        yield event, start


def study_folder(folder: Path, study: TrackedStudy) -> Path:
    """The folder of the trials of a study: the one that has its files already, also if it was renamed.

    A new one has the name of the study, unless another study of this name has written there.
    """
    known = next(folder.glob(f"*/*/{_file_name(study)}"), None)
    if known is not None:
        return known.parents[1]
    is_taken = next((folder / study.name).glob("*/*tfevents*"), None) is not None
    return folder / (f"{study.name}-{study.digest[:6]}" if is_taken else study.name)


def _file_name(study: TrackedStudy) -> str:
    """The name of an event file. TensorBoard knows it by `tfevents`; another study of the same name has another one."""
    return f"events.out.tfevents.{int(study.began):010d}.hpo.{study.digest}"


def _session_end(at: float, *, failed: bool) -> Event:
    """The end of a session in the table of parameters, at so many seconds since 1970."""
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=at)
    content = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=info))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=content, tensor=metadata.NULL_TENSOR)
    return Event(wall_time=at, summary=Summary(value=[value]))


def _plain(value: Scalar) -> bool | float | str:
    """A value as TensorBoard's table of parameters takes it. Null and numbers that are not finite are texts."""
    if isinstance(value, bool | str):
        return value
    return float(value) if value is not None and math.isfinite(value) else str(value)
