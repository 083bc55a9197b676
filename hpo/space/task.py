"""What a search trains, as frozen dataclasses: the task, its data sets and its validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpo.space import rules
from hpo.space.dataset_spec import DatasetSpec
from hpo.space.rules import raise_problems

WEIGHTS = ("none", "imagenet")
"""The values of `weights` that are no path."""

VALIDATION_KEYS = ("fraction", "folds", "seed", "group")
"""The keys of `task.validation`."""

DATA_KEYS = ("dataset", "pretraining")
"""The keys of a task that name a data set."""


@dataclass(frozen=True)
class Validation:
    """How the validation split is taken from the training part: a stratified fraction, or cross-validation folds."""

    fraction: float | None = None
    """The share of the training part that is used for validation. It is 0.2 if neither this nor `folds` is given."""
    seed: int = 42
    """The seed of the split."""
    folds: int | None = None
    """The number of folds. A trial trains one model per fold, validated on that fold. Its metrics are the means."""
    group: str | None = None
    """Images of one group never stand in two parts. None for no groups.

    The group of an image is the name of its folder (`folder`), or what a regular expression finds in its file name. A
    data set may know other groups, such as those in a column of a table.
    """
    is_given: bool = field(default=False, compare=False)
    """Whether the space says how the validation part is cut: by a fraction, folds or a seed. If not, it is the default.

    A data set that has a validation part of its own needs the default. `group` does not count: its held-out part may
    be cut by groups.
    """

    def __post_init__(self) -> None:
        given = any(value is not None for value in (self.fraction, self.folds))
        object.__setattr__(self, "is_given", self.is_given or given or self.seed != type(self).seed)
        if self.fraction is None and self.folds is None:
            object.__setattr__(self, "fraction", 0.2)
        raise_problems(rules.validation_problems(vars(self)))

    def to_dict(self) -> dict[str, Any]:
        """The validation split as plain values, in the form of a space file."""
        return {key: value for key in VALIDATION_KEYS if (value := getattr(self, key)) is not None}


@dataclass(frozen=True)
class Task:
    """What is trained. Names are names of plug-ins, or `package.module` for your own modules."""

    regime: str | None = None
    """None if the regime is searched (a domain `regime`), or if a trainable is given in Python."""
    model: str | None = None
    """None if the model is searched (a domain `model`), or if the regime needs no model."""
    weights: str = "none"
    """The initial weights of the model: none | imagenet | a path to a state dict."""
    dataset: DatasetSpec | None = None
    """None if the regime brings its own data. A plain name is converted to a DatasetSpec without options."""
    validation: Validation = field(default_factory=Validation)
    pretraining: DatasetSpec | None = None
    """Another data set, for a regime that trains on it first. A plain name is converted, too."""
    written_weights: str | None = field(default=None, compare=False)
    """The path in the space, if `weights` is the absolute path that was found for it. The digest contains this one."""

    def __post_init__(self) -> None:
        raise_problems(rules.task_problems(vars(self)))
        for key in DATA_KEYS:
            if isinstance(value := getattr(self, key), str):
                object.__setattr__(self, key, DatasetSpec(value))
        if self.dataset is not None:
            raise_problems(rules.group_problems(self.validation.group, self.dataset.options))

    def located(self, *folders: Path) -> Task:
        """Return the task with an absolute path of its weights, if they are a file in one of `folders`.

        The first folder that contains the file counts. Otherwise the task is returned as it is.
        """
        if self.weights in WEIGHTS or Path(self.weights).is_absolute():
            return self
        found = next((path for folder in folders if (path := folder / self.weights).is_file()), None)
        return self if found is None else self._with_weights(found)

    def relocated(
        self,
        recorded: str | None,
        files: Mapping[str, str] | None = None,
        paths: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Task:
        """Return the task with the paths that were found before: of its weights, and of the files of its data sets.

        `recorded` is the path of the weights, or None. `files` are `data_files` and `paths` are `data_paths`. If a file
        was moved, the working directory is looked through.
        """
        files, paths = files or {}, paths or {}
        data: dict[str, Any] = {
            key: getattr(self, key).relocated(files.get(key), paths.get(key, {})) for key in {**files, **paths}
        }
        task = replace(self, **data) if data else self
        if recorded is None:
            return task
        located = task if Path(recorded).is_file() else task.located(Path())
        return task._with_weights(Path(recorded)) if located is task else located

    @property
    def data_files(self) -> dict[str, str]:
        """The path of the Python file of each data set that has one, by its key in the task."""
        return {key: spec.file for key, spec in self._data_sets.items() if spec.file is not None}

    @property
    def data_paths(self) -> dict[str, dict[str, str]]:
        """The paths that were found for options of the data sets, by their keys in the task."""
        return {key: dict(spec.paths) for key, spec in self._data_sets.items() if spec.paths}

    @property
    def _data_sets(self) -> dict[str, DatasetSpec]:
        return {key: spec for key in DATA_KEYS if (spec := getattr(self, key)) is not None}

    def _with_weights(self, path: Path) -> Task:
        """The task with the absolute path of its weights. The digest of the space stays the same."""
        return replace(self, weights=str(path.absolute()), written_weights=self.written_weights or self.weights)
