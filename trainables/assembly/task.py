"""The types of a task: the names of its data set, model and regime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from trainables.hyperparameters import Scalar


class DatasetSpec(Protocol):
    """The name of a data set, with its options and its merged classes."""

    @property
    def name(self) -> str: ...
    @property
    def plugin(self) -> str:
        """The name of the plug-in, or the path of its file."""
        ...

    @property
    def options(self) -> Mapping[str, Scalar]:
        """The keyword arguments of the `build` of the data set's file."""
        ...

    @property
    def paths(self) -> Mapping[str, str]:
        """The absolute paths of some options that are relative paths. They replace those in `options`."""
        ...

    @property
    def looked_in(self) -> Sequence[str]:
        """The folders in which options that are relative paths were looked up, for messages."""
        ...

    @property
    def merged_classes(self) -> Mapping[str, Sequence[str]]:
        """The new classes, each with the names of the classes that it merges. Empty if the classes stay as they are."""
        ...


class Task(Protocol):
    """What is trained: the names of the regime, the model and the data set.

    A regime or model of None is named by each configuration instead, or the task has none.
    """

    @property
    def regime(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def weights(self) -> str:
        """none, imagenet, or the path of a state dict."""
        ...

    @property
    def dataset(self) -> Any:
        """A DatasetSpec, or None."""
        ...

    @property
    def pretraining(self) -> Any:
        """The DatasetSpec of a data set to train on first, or None."""
        ...

    @property
    def validation(self) -> Any:
        """How to split off the validation part. It has the attributes `fraction`, `folds`, `seed`, `group`, `is_given`.

        `group` says which images belong together: see `trainables.data.file_sets.groups_of`. None without groups.
        """
        ...
