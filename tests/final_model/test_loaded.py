"""`hpo.load_model` and what it returns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import hpo
from hpo.errors import UserError
from tests.trainables.inference.final_models import CLASSES, pictures, write


@pytest.fixture
def model(tmp_path: Path) -> hpo.Model:
    write(tmp_path / "m")
    return hpo.load_model(tmp_path / "m", device="cpu")


def test_predictions_are_a_table_with_a_row_for_each_file(model: hpo.Model, tmp_path: Path) -> None:
    paths = [*pictures(tmp_path / "pictures"), tmp_path / "missing.jpg"]
    table = model.predict(paths, top=2)
    assert list(table) == ["path", "class", "probability", "class_2", "probability_2", "error"]
    assert list(table["path"]) == [str(path) for path in paths]
    assert set(table["class"][:-1]) <= set(CLASSES)
    assert (table["probability"][:-1] >= table["probability_2"][:-1]).all()
    assert table["error"].isna().tolist() == [True] * (len(paths) - 1) + [False]
    assert pd.isna(table["class"].iloc[-1])
    assert table["error"].iloc[-1] == "No such file or directory"


def test_one_path_is_a_table_of_one_row(model: hpo.Model, tmp_path: Path) -> None:
    (path, *_) = pictures(tmp_path / "pictures")
    table = model.predict(str(path), top=99)
    assert len(table) == 1
    assert list(table)[-2:] == ["probability_3", "error"]


def test_no_paths_are_an_empty_table(model: hpo.Model) -> None:
    assert list(model.predict([])) == ["path", "class", "probability", "error"]


def test_a_model_shows_its_classes_and_where_it_comes_from(model: hpo.Model) -> None:
    assert model.classes == CLASSES
    assert model.about["study"] == {"name": "s"}
    assert "ant" in repr(model)


@pytest.mark.parametrize("top", [0, 1.5, True])
def test_a_wrong_number_of_classes_is_refused(model: hpo.Model, top: int) -> None:
    with pytest.raises(UserError, match="top must be a whole number of at least 1"):
        model.predict([], top=top)


def test_a_folder_without_a_model_is_an_error_without_a_traceback_of_hpo(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a model folder"):
        hpo.load_model(tmp_path)
