"""Checkpoints of a worker that leaves their names to the process that searches.

A worker on another machine may go on training for a while after the search was killed. If it wrote `0.pt` itself, it
could replace the checkpoint of the resumed search. So it writes each checkpoint once, under a name that nobody else
uses, and sends the name, or the content, with its report. The process that searches then makes it the checkpoint of the
trial, before the report is recorded (`received_checkpoints.py`).

`CheckpointPlace` is where a worker reads and writes: a folder that both processes see, the report itself, or a URL
(`url_checkpoints.py`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from hpo.errors import HpoError
from hpo.training.checkpoints import SENT, checkpoint, disk_errors


@dataclass(frozen=True)
class NewCheckpoint:
    """A worker wrote a checkpoint of the last epoch of a trial."""

    content: bytes | str
    """The content of the checkpoint, or the name of its file, or its URL."""


@dataclass(frozen=True)
class KeepBest:
    """The last checkpoint of a trial is also that of its best epoch."""


Change: TypeAlias = NewCheckpoint | KeepBest
"""A change of the checkpoints of a trial. The changes of a trial are made in their order."""


class CheckpointPlace(Protocol):
    """Where a worker reads the checkpoint of a trial, and writes new ones."""

    def read(self, trial: int) -> bytes | None:
        """Return the content of the last checkpoint of a trial, or None if there is none."""
        ...

    def write(self, trial: int, content: bytes) -> bytes | str:
        """Write a new checkpoint, and return its content or its name, as in `NewCheckpoint`."""
        ...


class SentCheckpoints:
    """Reads and writes the checkpoints of one worker in a place. It has the methods of `Checkpoints`.

    The changes that the process that searches must make are collected until they are taken by `taken_changes`.
    """

    def __init__(self, place: CheckpointPlace) -> None:
        self._place = place
        self._changes: list[Change] = []
        self._was_read_back = False

    def read(self, trial: int) -> dict[str, Any] | None:
        """Return the content of a trial's last checkpoint. Returns None if it is missing or damaged."""
        from trainables.training import checkpoints

        content = self._place.read(trial)
        if content is None:
            return None
        try:
            return checkpoints.decode(content, f"of trial {trial}")
        except checkpoints.DamagedCheckpoint:
            return None

    def write(self, trial: int, content: dict[str, Any]) -> None:
        """Write the last checkpoint of a trial.

        Raises an HpoError if the first checkpoint of the worker cannot be read back, and a MachineError if the place
        cannot be written.
        """
        from trainables.training import checkpoints

        encoded = checkpoints.encode(content)
        if not self._was_read_back:
            try:
                checkpoints.decode(encoded, f"of trial {trial}")
            except checkpoints.DamagedCheckpoint as error:
                raise HpoError(
                    f"state_dict() of the trainable may hold only tensors and plain Python values: {error}"
                ) from error
            self._was_read_back = True
        self._changes.append(NewCheckpoint(self._place.write(trial, encoded)))

    def keep_best(self, trial: int) -> None:
        """Keep the last checkpoint of a trial also as that of its best epoch."""
        self._changes.append(KeepBest())

    def taken_changes(self) -> list[Change]:
        """Return the changes since the last call."""
        changes, self._changes = self._changes, []
        return changes


class ReportPlace:
    """Sends the content of checkpoints with the reports. The content to begin with comes with the trial."""

    def __init__(self) -> None:
        self.given: bytes | None = None
        """The content of the checkpoint with which the next trial begins. None if it has none."""

    def read(self, trial: int) -> bytes | None:
        return self.given

    def write(self, trial: int, content: bytes) -> bytes:
        return content


class FolderPlace:
    """Reads and writes the folder of the checkpoints, which this machine sees too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.given: None = None

    def read(self, trial: int) -> bytes | None:
        path = checkpoint(self._folder, trial)
        with disk_errors(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def write(self, trial: int, content: bytes) -> str:
        path = self._folder / f"{trial}.{uuid.uuid4().hex}{SENT}"
        with disk_errors(path):
            try:
                path.write_bytes(content)
            except OSError:
                path.unlink(missing_ok=True)
                raise
        return path.name
