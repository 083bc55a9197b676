"""The files of a study's validation predictions: their names, how they are read, and how they are deleted.

`trainables/training/predictions.py` encodes their content, and `hpo/record/predictions.py` reads it.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from hpo.training.checkpoints import disk_errors

_TARGETS = "targets.npz"
_SUFFIX = ".npz"


def trial_file(folder: Path, trial: int) -> Path:
    """The path of the predictions of a trial."""
    return folder / f"{trial}{_SUFFIX}"


def targets_file(folder: Path) -> Path:
    """The path of the labels of the validation part."""
    return folder / _TARGETS


def read(path: Path) -> bytes | None:
    """Return the content of a file, which may be written at the same time. None if it cannot be read."""
    from trainables.store import atomic

    atomic.wait_for_writer(path)
    try:
        return path.read_bytes()
    except OSError:
        return None


def write_trial(folder: Path, trial: int, content: bytes) -> None:
    """Write the predictions of a trial, atomically. Raises a MachineError if the disk fails."""
    from trainables.store import atomic

    path = trial_file(folder, trial)
    with disk_errors(path, "the predictions"):
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(path, lambda temporary: temporary.write_bytes(content))


def write_targets(folder: Path, content: bytes) -> None:
    """Write the labels of the validation part, atomically. Several workers may do so at the same time.

    Raises a MachineError if the disk fails.
    """
    path = targets_file(folder)
    if read(path) == content:
        return
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with disk_errors(path, "the predictions"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def recover(folder: Path) -> None:
    """Complete or delete the files that workers were writing when they were killed.

    Raises a MachineError if the disk fails.
    """
    from trainables.store import atomic

    with disk_errors(folder, "the predictions"):
        for temporary in folder.glob(".*.tmp"):
            if temporary.name.startswith(f".{_TARGETS}."):
                temporary.unlink(missing_ok=True)
            else:
                atomic.recover(folder / temporary.name[1 : -len(".tmp")])


def discard(folder: Path, trial: int) -> None:
    """Delete the predictions of a trial, if there are any. Raises a MachineError if the disk fails."""
    from trainables.store import atomic

    path = trial_file(folder, trial)
    with disk_errors(path, "the predictions"):
        atomic.remove(path)
