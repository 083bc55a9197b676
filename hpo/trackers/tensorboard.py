"""The tracker `tensorboard`: one event file a trial, with its scalars, hyperparameters and state.

`_event_files.py` writes the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpo.trackers._places import absolute_folder
from hpo.trackers._tracker import TrackedStudy

if TYPE_CHECKING:
    from hpo.trackers._event_files import TensorBoard

REQUIRES = "tensorboard"
WHERE = {"FOLDER": "the folder that `tensorboard --logdir` is given; default `tensorboard` in the folder of the study"}
FOLDER = "tensorboard"
"""The folder in that of the study, if no other is given."""


def check(where: str | None) -> str | None:
    """The absolute path of the folder `where`. Raises a UserError if it cannot be written."""
    return None if where is None else str(absolute_folder("tensorboard", where))


def place(study: TrackedStudy, where: str | None) -> str:
    """The folder that `tensorboard --logdir` is given."""
    return str(_root(study, where))


def build(study: TrackedStudy, where: str | None) -> TensorBoard:
    """Build the tracker. `where` is the folder that `tensorboard --logdir` is given."""
    from hpo.trackers._event_files import TensorBoard, study_folder

    return TensorBoard(study_folder(_root(study, where), study), study)


def _root(study: TrackedStudy, where: str | None) -> Path:
    return study.folder / FOLDER if where is None else Path(where).expanduser().absolute()
