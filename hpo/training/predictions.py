"""The validation predictions of trials: the logits of each new best epoch become a file of the study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from hpo.training.prediction_files import AnyPredictionFiles, encode_targets, encode_trial, targets_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainables.data.dataset import SearchData
    from trainables.trainable import Trainable


@dataclass(frozen=True, eq=False)
class Targets:
    """The labels of the validation images of a trial."""

    labels: NDArray[np.int64]
    """(n_images,)"""
    folds: NDArray[np.int64]
    """(n_images,): the fold that validates each image, 0 without folds."""
    n_classes: int

    @classmethod
    def of(cls, data: Sequence[SearchData | None]) -> Targets | None:
        """Return the targets of the data of each fold. None if the trial has no data set."""
        import numpy as np

        folds = [fold for fold in data if fold is not None]
        if len(folds) < len(data):
            return None
        labels = [fold.validation.labels.cpu().numpy().astype(np.int64) for fold in folds]
        numbers = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
        return cls(np.concatenate(labels), numbers, len(folds[0].classes))

    @cached_property
    def digest(self) -> int:
        return targets_digest(self.labels, self.folds)


class KeptPredictions:
    """Writes the validation predictions of the trials of one slot."""

    def __init__(self, files: AnyPredictionFiles, notify: Callable[[str], None]) -> None:
        """`notify` is told why predictions are not kept."""
        self._files = files
        self._notify = notify
        self._written: int | None = None
        """The digest of the targets that were written last."""

    def of_trial(
        self, trial: int, trainable: Trainable, data: Sequence[SearchData | None], *, after: int
    ) -> Callable[[int], None] | None:
        """Return the function that writes the predictions of the epoch that a trainable has just validated.

        It takes the number of the epoch, and raises a MachineError if the disk fails. `data` are those of each fold.
        `after` is the last epoch on record. Epochs up to it, which are trained again after the loss of a checkpoint,
        are not written if the file holds those of an epoch on record.

        Returns None if predictions are not kept, because the trial has no data set or too many logits.
        """
        from trainables.training.predictions import MAX_VALUES

        targets = Targets.of(data)
        if targets is None:
            return None
        n_images, n_classes = len(targets.labels), targets.n_classes
        if n_images * n_classes > MAX_VALUES:
            self._notify(
                f"validation predictions are not kept: {n_images:,} images and {n_classes:,} classes make more than "
                f"{MAX_VALUES:,} logits"
            )
            return None
        n_kept = after if self._files.holds_recorded(trial, after) else 0
        return partial(self._write, trial, trainable, targets, n_kept)

    def _write(self, trial: int, trainable: Trainable, targets: Targets, n_kept: int, epoch: int) -> None:
        """Write the predictions of an epoch. They replace those of the trial's best epoch before.

        Nothing is written for the first `n_kept` epochs, or if the trainable offers no logits, or if they are not
        finite.
        """
        if epoch <= n_kept:
            return
        from trainables.training import predictions

        logits = getattr(trainable, "validation_logits", None)
        if logits is None:
            return
        try:
            predictions.check_shape(logits, len(targets.labels), targets.n_classes)
        except ValueError as error:
            self._notify(f"validation predictions are not kept: `validation_logits` of the trainable {error}")
            return
        half = predictions.as_float16(logits)
        if half is None:
            return
        if self._written != targets.digest:
            self._files.write_targets(encode_targets(targets.labels, targets.folds))
            self._written = targets.digest
        self._files.write(trial, encode_trial(epoch, half, targets.digest))
