"""The files of a study's validation predictions: what they hold, and how they are written, read and deleted.

- `targets.npz`: the arrays `labels` and `folds` of the validation images, and `groups` if they have groups.
- `TRIAL.epochs`: the loss and the predicted class of each image after each epoch (`epoch_records.py`).
- `TRIAL.training`: while the trial trains, the logits of its last two best epochs (`best_logits.py`).
- `TRIAL.npz`: while it does not, the arrays `epoch`, `logits` (float16) and `targets`, a checksum of the labels that
  belong to them. `finish` writes it.

`hpo/record/predictions.py` reads and checks them. In studies of earlier versions, `TRIAL.previous.npz` holds the best
epoch before that of `TRIAL.npz`.

The files are not compressed: the mantissas of logits are random, so compression would save little and take long.
"""

from __future__ import annotations

import contextlib
import io
import os
import uuid
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hpo.training import best_logits, epoch_records
from hpo.training.best_logits import BestLogits
from hpo.training.checkpoints import disk_errors, file_error
from hpo.training.epoch_records import EpochRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TARGETS = "targets.npz"
"""The name of the file of the targets."""
WHAT = "the file of predictions"
"""In errors of the disk."""


class Held(NamedTuple):
    """What the files of a trial hold of the epochs on record."""

    epochs: frozenset[int] = frozenset()
    """The epochs whose losses and predicted classes they hold."""
    has_best: bool = False
    """Whether they hold the logits of the best of these epochs."""


class AnyPredictionFiles(Protocol):
    """Takes the predictions of the trials of one slot: `PredictionFiles`, or `SentPredictions`."""

    def begin(self, trial: int, after: int) -> Held: ...
    def write(self, trial: int, best: BestLogits) -> None: ...
    def write_epoch(self, trial: int, record: bytes) -> None: ...
    def write_targets(self, content: bytes) -> None: ...


class PredictionFiles:
    """The files in the folder of the predictions of a study. If the disk fails, the methods raise a MachineError."""

    def __init__(self, folder: Path) -> None:
        """`folder` is created with the first file, if it is missing."""
        self._folder = folder
        self._prefix = f"{folder}{os.sep}"
        """Of the names of the files that each epoch writes. Joining paths would take as long as the writes."""
        self._exists = False

    def begin(self, trial: int, after: int) -> Held:
        """Remove what a kill left of epochs later than `after`, the last one on record. Returns what is left."""
        with _disk_errors(self._training_file(trial)):
            epochs = epoch_records.keep_recorded(self._epochs_file(trial), after)
            best_logits.drop_later(self._training_file(trial), after)
        found = [each.epoch for each in best_logits.read(self._training_file(trial))]
        found += [_epoch(path) or 0 for path in (self._trial_file(trial), self._previous_file(trial))]
        return Held(epochs, any(0 < epoch <= after for epoch in found))

    def write(self, trial: int, best: BestLogits) -> None:
        """Write the logits of a new best epoch of a trial in training. Those of the best epoch before are kept.

        The same epoch written again, as after a kill, replaces only itself.
        """
        try:
            self._make_folder()
            best_logits.write(self._training_file(trial), best)
        except OSError as error:
            raise file_error(self._training_file(trial), WHAT, error) from error

    def write_epoch(self, trial: int, record: bytes) -> None:
        """Append an epoch of a trial, as `epoch_records.encode` returned it."""
        try:
            self._make_folder()
            epoch_records.append(self._epochs_file(trial), record)
        except OSError as error:
            raise file_error(self._epochs_file(trial), WHAT, error) from error

    def finish(self, trial: int, after: int | None = None) -> None:
        """Move the logits of the best epoch of a trial that does not train now to their final file.

        `after` is the last epoch on record, if that is known: later ones are left out.
        """
        from trainables.store import atomic

        found = best_logits.read(self._training_file(trial))
        with _disk_errors(self._trial_file(trial)):
            if recorded := [best for best in found if after is None or best.epoch <= after]:
                content = encode_trial(*recorded[0])
                atomic.write(self._trial_file(trial), lambda temporary: temporary.write_bytes(content))
            for path in (Path(self._training_file(trial)), self._previous_file(trial)):
                path.unlink(missing_ok=True)

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
        """Yield the logits of a trial, which may be written at the same time, as npz files: the newest come first.

        Those that cannot be read are left out.
        """
        from trainables.store import atomic

        for best in best_logits.read(self._training_file(trial)):
            yield encode_trial(*best)
        atomic.wait_for_writer(self._trial_file(trial))
        for path in (self._trial_file(trial), self._previous_file(trial)):
            content = _read(path)
            if content is not None:
                yield content

    def read_epochs(self, trial: int) -> Iterator[EpochRecord]:
        """Yield the epochs of a trial, some of which may not be on record yet. There are none if it has no file."""
        with contextlib.suppress(OSError):
            yield from epoch_records.read(self._epochs_file(trial))

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
            for path in (self._training_file(trial), self._epochs_file(trial), self._previous_file(trial)):
                Path(path).unlink(missing_ok=True)

    def _make_folder(self) -> None:
        """Create the folder, unless this was done before."""
        if not self._exists:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._exists = True

    def _previous_file(self, trial: int) -> Path:
        return self._folder / f"{trial}.previous.npz"

    def _trial_file(self, trial: int) -> Path:
        return self._folder / f"{trial}.npz"

    def _training_file(self, trial: int) -> str:
        return f"{self._prefix}{trial}.training"

    def _epochs_file(self, trial: int) -> str:
        return f"{self._prefix}{trial}.epochs"


def encode_trial(epoch: int, logits: NDArray[np.float16], targets: int) -> bytes:
    """Return the content of the file of a trial. `targets` is the `targets_digest` of its labels."""
    return _encode(epoch=epoch, logits=logits, targets=targets)


def encode_targets(
    labels: NDArray[np.int64], folds: NDArray[np.int64], groups: NDArray[np.int64] | None = None
) -> bytes:
    """Return the content of the file of the targets, (n_images,) each."""
    return _encode(labels=labels, folds=folds, **({} if groups is None else {"groups": groups}))


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


def _epoch(file: Path) -> int | None:
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


def _disk_errors(path: Path | str) -> AbstractContextManager[None]:
    return disk_errors(path, WHAT)
