"""The validation predictions of trials, which become files of the study.

Of each epoch, these are the loss and the predicted class of each image. Of each new best epoch, they are the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from hpo.training import epoch_records
from hpo.training.best_logits import BestLogits
from hpo.training.prediction_files import AnyPredictionFiles, Held, encode_targets, targets_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

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
    groups: NDArray[np.int64] | None = None
    """(n_images,): equal numbers stand for images of one group. None without groups."""

    @classmethod
    def of(cls, data: Sequence[SearchData | None]) -> Targets | None:
        """Return the targets of the data of each fold. None if the trial has no data set."""
        import numpy as np

        from trainables.data import group_numbers

        folds = [fold for fold in data if fold is not None]
        if len(folds) < len(data):
            return None
        labels = [fold.validation.labels.cpu().numpy().astype(np.int64) for fold in folds]
        numbers = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
        groups = group_numbers.of_parts([fold.validation for fold in folds])
        known = None if groups is None else groups.numpy()
        return cls(np.concatenate(labels), numbers, len(folds[0].classes), known)

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
    ) -> Callable[[int, bool], None] | None:
        """Return the function that writes the predictions of the epoch that a trainable has just validated.

        It takes the number of the epoch, and whether it is the best so far. It raises a MachineError if the disk fails.
        `data` are those of each fold. `after` is the last epoch on record. Epochs up to it, which are trained again
        after the loss of a checkpoint, are not written if the files hold them.

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
        held = self._files.begin(trial, after)
        return partial(self._write, _Kept(trial, trainable, targets, after, held))

    def _write(self, kept: _Kept, epoch: int, is_best: bool) -> None:
        """Write the predictions of an epoch. The logits replace those of the trial's best epoch before.

        Nothing is written if the trainable offers no logits, or if they are not finite.
        """
        from trainables.training import predictions

        is_new = epoch > kept.after
        needs_logits, needs_epoch = is_best and (is_new or not kept.held.has_best), epoch not in kept.held.epochs
        logits, targets = getattr(kept.trainable, "validation_logits", None), kept.targets
        if logits is None or not (needs_logits or needs_epoch):
            return
        try:
            predictions.check_shape(logits, len(targets.labels), targets.n_classes)
        except ValueError as error:
            self._notify(f"validation predictions are not kept: `validation_logits` of the trainable {error}")
            return
        half = predictions.as_float16(logits) if needs_logits else None
        record = _record(epoch, kept, logits) if needs_epoch else None
        if self._written != targets.digest and (half is not None or record is not None):
            self._files.write_targets(encode_targets(targets.labels, targets.folds, targets.groups))
            self._written = targets.digest
        if record is not None:
            self._files.write_epoch(kept.trial, record)
        if half is not None:
            self._files.write(kept.trial, BestLogits(epoch, half, targets.digest))


@dataclass(frozen=True, eq=False)
class _Kept:
    """A trial whose predictions are kept."""

    trial: int
    trainable: Trainable
    targets: Targets
    after: int
    """The last epoch on record when it began."""
    held: Held
    """What the files held then."""


def _record(epoch: int, kept: _Kept, logits: Tensor | NDArray[np.generic]) -> bytes | None:
    """Return the loss and the predicted class of each image as `epoch_records.encode` does. None if a loss is NaN.

    They are those of the metrics of the trainable, if it offers them.
    """
    from trainables.training import predictions

    results = getattr(kept.trainable, "validation_results", None)
    if results is None or len(results.losses) != len(kept.targets.labels):
        results = predictions.results_of(logits, kept.targets.labels)
    losses, predicted = (each.detach().cpu().numpy() for each in results)
    return epoch_records.encode(epoch, losses, predicted, kept.targets.digest)
