"""The options of a model folder: which trial is written, what it is trained on, and in which formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.errors import UnknownName, UserError, nearest

TRAIN_ON = ("train", "train+validation", "all")
"""The parts that a model may be trained on."""


@dataclass(frozen=True)
class ModelOptions:
    """Which model is written, and how. Raises a UserError for a wrong value."""

    trial: int | None = None
    """The number of the trial. None for the best."""
    train_on: str | None = None
    """The parts that it is trained on: train, train+validation or all.

    None for those of the tested model: train+validation if it was tested by the protocol refit, else train.
    """
    formats: Sequence[str] = ()
    """Further formats to write it in: onnx, or torch for torch.export."""
    overwrite: bool = False
    """Whether a model folder that is there is replaced."""
    skip_changed_files: bool = False
    """Whether files of the data set that changed since the study was begun are left out. If not, they are an error."""
    soup: bool = False
    """Whether the average of trials is written that `hpo soup` made."""

    def __post_init__(self) -> None:
        if self.soup and (self.trial is not None or self.train_on not in (None, "train")):
            raise UserError("--soup writes the weights that `hpo soup` made: leave --trial and --train-on out")
        if self.formats:  # only then, because the import takes seconds
            from trainables.inference import exports

            for name in self.formats:
                if name not in exports.FORMATS:
                    raise UnknownName("format", name, exports.FORMATS)
        if self.train_on is not None and self.train_on not in TRAIN_ON:
            raise UserError(f"unknown part {self.train_on!r} to train on{nearest(self.train_on, TRAIN_ON)}")


BEST_TRIAL = ModelOptions()
"""The best trial, as the search or the test left it."""
