"""A model folder in Python: `load_model(folder).predict(paths)`."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import plugins
from hpo.devices import main_device
from hpo.errors import UserError

if TYPE_CHECKING:
    from pandas import DataFrame

    from trainables.inference import Prediction

StrPath = str | os.PathLike[str]


class Model:
    """The model of a model folder. It classifies image files."""

    def __init__(self, folder: Path, device: str) -> None:
        """Load the model on `device`, as in `load_model`.

        Raises UserError if the folder holds no model, or one that is damaged or does not fit.
        """
        from trainables.inference import Predictor

        self.path = folder
        """The model folder."""
        with user_errors():
            self._predictor = Predictor(
                folder, functools.cache(plugins.load), main_device(device), or_cpu=device == "auto"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self._predictor.classes

    @property
    def about(self) -> Mapping[str, Any]:
        """Where the model comes from, as in `model.json`: its study, training, results and package versions."""
        return self._predictor.description.about

    def predict(self, paths: StrPath | Iterable[StrPath], *, top: int = 1) -> DataFrame:
        """Classify image files, and return one row for each, in order.

        Columns: path; class, probability; class_2, probability_2 and so on up to `top`; error. A file that cannot be
        read as an image has no class, and its error says why. Raises UserError if `top` is not at least 1.
        """
        import pandas as pd

        files = _as_paths(paths)
        n_top = min(check_top(top), len(self.classes))
        rows = [row(prediction, n_top) for prediction in self.predictions(files, top=n_top)]
        return pd.DataFrame(rows, columns=[*columns(n_top), "error"])

    def predictions(self, paths: Sequence[Path], *, top: int = 1) -> Iterator[Prediction]:
        """Classify image files one batch after another. Yields the `top` most likely classes of each, in order."""
        return self._predictor.predict(paths, top)

    def __repr__(self) -> str:
        return f"Model({str(self.path)!r}, classes={list(self.classes)})"


def load_model(folder: StrPath, *, device: str = "auto") -> Model:
    """Load the model of a folder that `hpo model` wrote.

    `device` is auto (a GPU if there is one), cpu, or a GPU such as cuda:0. A model without plain code, which is a
    program of torch.export, runs on the CPU: auto loads it there. Raises UserError if the folder holds no model, if it
    cannot run on the device, if a file of it is damaged or was written by another version, or if a package that it
    needs is missing.
    """
    return Model(Path(folder), device)


def columns(n_top: int) -> list[str]:
    """Return the names of the columns of predictions with `n_top` classes each."""
    numbers = ["", *(f"_{i}" for i in range(2, n_top + 1))]
    return ["path", *(f"{name}{number}" for number in numbers for name in ("class", "probability"))]


def row(prediction: Prediction, n_top: int) -> list[Any]:
    """Return the row of a prediction: the values of `columns`, and the error or None."""
    found = [each for pair in zip(prediction.classes, prediction.probabilities, strict=True) for each in pair]
    return [str(prediction.path), *found, *[None] * (2 * n_top - len(found)), prediction.error]


def check_top(top: int) -> int:
    """Return the number of classes to show. Raises UserError if it is not a whole number of at least 1."""
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise UserError(f"top must be a whole number of at least 1, but is {top!r}")
    return top


def _as_paths(paths: StrPath | Iterable[StrPath]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]


@contextmanager
def user_errors(prefix: str = "") -> Iterator[None]:
    """Turn a SetupError into a UserError. `prefix` stands before its text."""
    from trainables.errors import SetupError

    try:
        yield
    except SetupError as error:
        raise UserError(f"{prefix}{error}") from error
