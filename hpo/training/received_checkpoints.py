"""The checkpoints of a study whose workers send them: `sent_checkpoints.py` is the side of the worker.

Only the process that searches changes them. Each is written whole or not at all, before its report is handed on.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from hpo.training.checkpoints import best_checkpoint, checkpoint, disk_errors
from hpo.training.sent_checkpoints import Change, KeepBest


class ReceivedCheckpoints(Protocol):
    """Where the checkpoints of a study are kept: in its folder, or at a URL (`url_checkpoints.py`)."""

    @property
    def url(self) -> str | None:
        """Where workers write checkpoints. None if they write the folder, or send the content."""
        ...

    def receive(self, trial: int, changes: Iterable[Change], *, has_ended: bool) -> None:
        """Make the changes that a worker sent. `has_ended` says that the trial trains no further epoch.

        Raises a MachineError if the disk or the network fails.
        """
        ...

    def given(self, trial: int, *, sees_folder: bool) -> bytes | str | None:
        """Return what a worker needs to read the checkpoint of a trial: the content or the name, or None.

        It is None if there is no checkpoint, or if the worker sees the folder.
        """
        ...

    def delete_unneeded(self) -> None:
        """Delete what the folder of the study does not name any more."""
        ...

    def discarding(self, trial: int) -> AbstractContextManager[None]:
        """In this context, checkpoints of a trial may be discarded in the folder. They are deleted at the URL too."""
        ...


class FolderCheckpoints:
    """The checkpoints in the folder of the study. They have the names that every runner uses."""

    url = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def receive(self, trial: int, changes: Iterable[Change], *, has_ended: bool) -> None:
        """Make the changes that a worker sent: it sent the content, or the name of a file in the folder."""
        from trainables.training import checkpoints

        path = checkpoint(self._folder, trial)
        with disk_errors(path):
            for change in changes:
                if isinstance(change, KeepBest):
                    checkpoints.keep_best(path, best_checkpoint(self._folder, trial))
                elif isinstance(change.content, bytes):
                    checkpoints.write_encoded(path, change.content)
                else:
                    checkpoints.move(self._folder / change.content, path)

    def given(self, trial: int, *, sees_folder: bool) -> bytes | None:
        """Return the content of the checkpoint, unless the worker sees the folder or there is none."""
        path = checkpoint(self._folder, trial)
        if sees_folder:
            return None
        with disk_errors(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def delete_unneeded(self) -> None:
        """Do nothing: `prepare` has deleted what is not needed."""

    def discarding(self, trial: int) -> AbstractContextManager[None]:
        """Do nothing: there is only the folder."""
        return nullcontext()
