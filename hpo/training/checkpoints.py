"""The checkpoints of a study: their paths, and how they are written, read and deleted.

`trainables/training/checkpoints.py` reads and writes the single files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from hpo.errors import HpoError, MachineError

SENT = ".sent"
"""The end of the name of a checkpoint that a worker wrote and the process that searches has not renamed yet."""


class AnyCheckpoints(Protocol):
    """Reads and writes the checkpoints of the trials of one slot: `Checkpoints`, or `SentCheckpoints`."""

    def read(self, trial: int) -> dict[str, Any] | None: ...
    def write(self, trial: int, content: dict[str, Any]) -> None: ...
    def keep_best(self, trial: int) -> None: ...


class Checkpoints:
    """Reads and writes the checkpoints of the trials of one slot.

    If the disk fails, the methods raise a MachineError. It is not the fault of the trial, which can continue later.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is created with the first checkpoint, if it is missing."""
        self._folder = folder
        self._was_read_back = False

    def read(self, trial: int) -> dict[str, Any] | None:
        """Return the content of a trial's last checkpoint. Returns None if it is missing or damaged."""
        from trainables.training import checkpoints

        path = checkpoint(self._folder, trial)
        with disk_errors(path):
            try:
                return checkpoints.read(path)
            except checkpoints.DamagedCheckpoint:
                return None

    def write(self, trial: int, content: dict[str, Any]) -> None:
        """Write the last checkpoint of a trial. It replaces the one before.

        Raises an HpoError if the first checkpoint of the slot cannot be read back.
        """
        from trainables.training import checkpoints

        path = checkpoint(self._folder, trial)
        with disk_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            checkpoints.write(path, content)
            self._read_back_first(path)

    def keep_best(self, trial: int) -> None:
        """Keep the last checkpoint of a trial also as that of its best epoch.

        The file is linked. It is copied only on file systems without hard links.
        """
        from trainables.training import checkpoints

        path = checkpoint(self._folder, trial)
        with disk_errors(path):
            checkpoints.keep_best(path, best_checkpoint(self._folder, trial))

    def _read_back_first(self, path: Path) -> None:
        """Read the first checkpoint back. If it is unreadable, the user learns this now and not when a trial resumes.

        Raises an HpoError if it cannot be read.
        """
        from trainables.training import checkpoints

        if not self._was_read_back:
            try:
                checkpoints.read(path)
            except checkpoints.DamagedCheckpoint as error:
                raise HpoError(
                    f"state_dict() of the trainable may hold only tensors and plain Python values: {error}"
                ) from error
            self._was_read_back = True


def checkpoint(folder: Path, trial: int) -> Path:
    """The path of the checkpoint of a trial's last epoch."""
    return folder / f"{trial}.pt"


def best_checkpoint(folder: Path, trial: int) -> Path:
    """The path of the checkpoint of a trial's best epoch."""
    return folder / f"{trial}.best.pt"


def names_file(folder: Path, trial: int) -> Path:
    """The path of the file that names the checkpoints of a trial, if they are not in this folder but at a URL."""
    return folder / f"{trial}.urls"


def prepare(folder: Path) -> None:
    """Create the folder of the checkpoints. Complete or delete those that workers were writing when they were killed.

    Those that a worker has sent and nobody received are deleted: their epochs are not on record.

    Raises a MachineError if the disk fails, as all functions here do.
    """
    from trainables.store import atomic

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for temporary in folder.glob(".*.tmp"):
            atomic.recover(folder / temporary.name[1 : -len(".tmp")])
        for sent in folder.glob(f"*{SENT}"):
            sent.unlink(missing_ok=True)


def discard(folder: Path, trial: int) -> None:
    """Delete all checkpoints of a trial that will never be continued."""
    discard_all_but_best(folder, trial)
    _remove(best_checkpoint(folder, trial))


def discard_all_but_best(folder: Path, trial: int) -> None:
    """Delete all checkpoints of a finished trial except that of its best epoch."""
    _remove(checkpoint(folder, trial))
    _remove(names_file(folder, trial))


def _remove(path: Path) -> None:
    from trainables.store import atomic

    with disk_errors(path):
        atomic.remove(path)


@contextlib.contextmanager
def disk_errors(path: Path | str, what: str = "the checkpoint") -> Iterator[None]:
    """In this context, an OSError becomes a MachineError. `what` names the content of the file."""
    try:
        yield
    except OSError as error:
        raise file_error(path, what, error) from error


def file_error(path: Path | str, what: str, error: OSError) -> MachineError:
    """Return the MachineError of an OSError. `what` names the content of the file."""
    return MachineError(f"{path}: {what} cannot be written or read: {error}")
