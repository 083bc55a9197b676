"""The files of a study's validation predictions: what they hold, and how they are written, read and deleted.

The file of a trial holds the arrays `epoch`, `logits` (float16) and `targets`, a checksum of the labels that belong to
them. The file of the targets holds `labels` and `folds`. `hpo/record/predictions.py` reads and checks them.

A new best epoch is written before it is on record. So while a trial trains, the file of its best epoch before is kept
as `TRIAL.previous.npz`. A worker is at most one epoch ahead of the record, so one of the two is the recorded best.

The files are not compressed: the mantissas of logits are random, so compression would save little and take long.
"""

from __future__ import annotations

import io
import os
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hpo.training.checkpoints import disk_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TARGETS = "targets.npz"
"""The name of the file of the targets."""


class AnyPredictionFiles(Protocol):
    """Takes the predictions of the trials of one slot: `PredictionFiles`, or `SentPredictions`."""

    def write(self, trial: int, content: bytes) -> None: ...
    def write_targets(self, content: bytes) -> None: ...
    def holds_recorded(self, trial: int, after: int) -> bool: ...


class PredictionFiles:
    """The files in the folder of the predictions of a study. If the disk fails, the methods raise a MachineError."""

    def __init__(self, folder: Path) -> None:
        """`folder` is created with the first file, if it is missing."""
        self._folder = folder

    def write(self, trial: int, content: bytes) -> None:
        """Write the predictions of a trial, atomically. Those of the best epoch before are kept as the previous ones.

        The same epoch written again, as after a kill, replaces only itself: the previous ones stay.
        """
        from trainables.store import atomic

        path = self._trial_file(trial)

        def fill(temporary: Path) -> None:
            temporary.write_bytes(content)
            # Only now: `recover` takes the temporary file for complete if `path` does not exist.
            if _epoch(path) not in (None, _epoch(io.BytesIO(content))):
                self.discard_previous(trial)  # a rename onto it would force its content to the disk
                os.replace(path, self._previous_file(trial))

        with _disk_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            atomic.write(path, fill)

    def write_targets(self, content: bytes) -> None:
        """Write the targets, atomically. Several workers may do so at the same time."""
        path = self._folder / TARGETS
        if _read(path) == content:
            return
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        with _disk_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(content)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)

    def read(self, trial: int) -> Iterator[bytes]:
        """Yield the predictions of a trial, which may be written at the same time: the newest, then the previous ones.

        Those that cannot be read are left out.
        """
        from trainables.store import atomic

        atomic.wait_for_writer(self._trial_file(trial))
        for path in (self._trial_file(trial), self._previous_file(trial)):
            content = _read(path)
            if content is not None:
                yield content

    def holds_recorded(self, trial: int, after: int) -> bool:
        """Whether a file of a trial holds the best of the epochs up to `after`, the last one on record.

        It is the newest one, or the previous one if the newest is not on record yet.
        """
        epoch = _epoch(self._trial_file(trial))
        if epoch is not None and epoch > after:
            epoch = _epoch(self._previous_file(trial))
        return epoch is not None and 0 < epoch <= after

    def read_targets(self) -> bytes | None:
        """Return the targets. None if they cannot be read."""
        return _read(self._folder / TARGETS)

    def recover(self) -> None:
        """Complete or delete the files that workers were writing when they were killed."""
        from trainables.store import atomic

        with _disk_errors(self._folder):
            for temporary in self._folder.glob(".*.tmp"):
                if temporary.name.startswith(f".{TARGETS}."):
                    temporary.unlink(missing_ok=True)
                else:
                    atomic.recover(self._folder / temporary.name[1 : -len(".tmp")])

    def discard(self, trial: int) -> None:
        """Delete the predictions of a trial, if there are any."""
        from trainables.store import atomic

        with _disk_errors(self._trial_file(trial)):
            atomic.remove(self._trial_file(trial))
        self.discard_previous(trial)

    def discard_previous(self, trial: int) -> None:
        """Delete the previous predictions of a trial, if there are any: all its epochs are on record."""
        with _disk_errors(self._previous_file(trial)):
            self._previous_file(trial).unlink(missing_ok=True)

    def _previous_file(self, trial: int) -> Path:
        return self._folder / f"{trial}.previous.npz"

    def _trial_file(self, trial: int) -> Path:
        return self._folder / f"{trial}.npz"


class SentPredictions:
    """The predictions of a worker that sends them with its reports. It has the methods by which files are written."""

    def __init__(self) -> None:
        self._writes: list[Write] = []

    def write(self, trial: int, content: bytes) -> None:
        """Send the predictions of a trial. Those of an earlier epoch that were not sent yet are left out."""
        self._writes = [*(each for each in self._writes if each[0] != trial), (trial, content)]

    def write_targets(self, content: bytes) -> None:
        self._writes.append((None, content))

    def holds_recorded(self, trial: int, after: int) -> bool:
        """False: this worker does not see the file. `receive` leaves it as it is, if it holds a recorded epoch."""
        return False

    def taken_writes(self) -> list[Write]:
        """Return the files that were written since the last call."""
        writes, self._writes = self._writes, []
        return writes


Write = tuple[int | None, bytes]
"""The trial and the content of a file. The trial of the targets is None."""


def receive(files: PredictionFiles, writes: Iterable[Write], *, after: int) -> None:
    """Write the files that a worker sent with a report. `after` is the last epoch on record before this report.

    After the loss of a checkpoint, a worker trains epochs again that are on record. Their predictions are not written,
    unless the file lacks those of the best epoch on record. Raises a MachineError if the disk fails.
    """
    for trial, content in writes:
        if trial is None:
            files.write_targets(content)
            continue
        epoch = _epoch(io.BytesIO(content))
        if epoch is None or epoch > after or not files.holds_recorded(trial, after):
            files.write(trial, content)


def encode_trial(epoch: int, logits: NDArray[np.float16], targets: int) -> bytes:
    """Return the content of the file of a trial. `targets` is the `targets_digest` of its labels."""
    return _encode(epoch=epoch, logits=logits, targets=targets)


def encode_targets(labels: NDArray[np.int64], folds: NDArray[np.int64]) -> bytes:
    """Return the content of the file of the targets, (n_images,) each."""
    return _encode(labels=labels, folds=folds)


def targets_digest(labels: NDArray[np.int64], folds: NDArray[np.int64]) -> int:
    """Return a checksum of labels and folds, (n_images,) each, by which a trial's file names its validation images."""
    return zlib.crc32(labels.astype("<i8").tobytes() + folds.astype("<i8").tobytes())


def decode(content: bytes | None) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a file by their names. Empty if `content` is None or damaged."""
    import numpy as np

    if content is None:
        return {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception:  # NumPy and zipfile raise many kinds of errors for files that are damaged
        return {}


def _epoch(file: Path | io.BytesIO) -> int | None:
    """Return the epoch in the file of a trial, without reading its logits. None if it cannot be read."""
    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as arrays:
            return int(arrays["epoch"])
    except Exception:  # NumPy and zipfile raise many kinds of errors for files that are damaged
        return None


def _encode(**arrays: Any) -> bytes:
    """Return arrays as an npz file. Equal arrays give equal bytes."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _disk_errors(path: Path) -> AbstractContextManager[None]:
    return disk_errors(path, "the file of predictions")
