"""The checkpoints of a study: where those of a trial stand, and how they are kept, found and cleared away.

With the worker and the builder, this is the door between the two houses: `trainables/training/checkpoints.py` reads and
writes the files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpo.errors import HpoError, MachineError


class Checkpoints:
    """Those of a slot's trials. A disk that fails is a MachineError: no fault of the trial's, which can go on later."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder where there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._proven = False

    def read(self, trial: int) -> dict[str, Any] | None:
        """The content of a trial's last checkpoint; None where it is lost or damaged."""
        from trainables.training import checkpoints

        path = checkpoint(self._folder, trial)
        with _disk_faults(path):
            try:
                return checkpoints.read(path)
            except checkpoints.DamagedCheckpoint:
                return None

    def write(self, trial: int, content: dict[str, Any]) -> None:
        """Put a checkpoint in place of the trial's last."""
        from trainables.training import checkpoints

        path = checkpoint(self._folder, trial)
        with _disk_faults(path):
            checkpoints.write(path, content)
            self._prove(path)

    def keep_best(self, trial: int) -> None:
        """Keep the trial's last checkpoint as that of its best epoch, too."""
        from trainables.training import checkpoints

        path = checkpoint(self._folder, trial)
        with _disk_faults(path):
            checkpoints.keep_best(path, best_checkpoint(self._folder, trial))

    def _prove(self, path: Path) -> None:
        """Read the first checkpoint back: one that cannot be read would cost every epoch when it is needed."""
        from trainables.training import checkpoints

        if not self._proven:
            try:
                checkpoints.read(path)
            except checkpoints.DamagedCheckpoint as error:
                raise HpoError(
                    f"state_dict() of the trainable may hold only tensors and plain Python values: {error}"
                ) from error
            self._proven = True


def checkpoint(folder: Path, trial: int) -> Path:
    """Where the state of a trial's last epoch stands."""
    return folder / f"{trial}.pt"


def best_checkpoint(folder: Path, trial: int) -> Path:
    """Where the state of a trial's best epoch stands."""
    return folder / f"{trial}.best.pt"


def recover(folder: Path) -> None:
    """Mend what workers that were killed while they wrote a checkpoint left behind."""
    from trainables.store import atomic

    for temporary in folder.glob(".*.tmp"):
        atomic.recover(folder / temporary.name[1 : -len(".tmp")])


def discard(folder: Path, trial: int) -> None:
    """Delete all checkpoints of a trial that will never be continued."""
    from trainables.store import atomic

    atomic.remove(checkpoint(folder, trial))
    atomic.remove(best_checkpoint(folder, trial))


def conclude(folder: Path, trial: int) -> None:
    """Keep of a trial that has ended only its best epoch."""
    from trainables.store import atomic

    atomic.remove(checkpoint(folder, trial))


@contextlib.contextmanager
def _disk_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(f"{path}: the checkpoint cannot be written or read: {error}") from error
