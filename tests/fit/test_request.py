from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.errors import UserError
from hpo.fit import FitRequest


def request(path: Path, **others: Any) -> FitRequest:
    values: dict[str, Any] = {"images": str(path), "seconds": 600.0, **others}
    return FitRequest(**values)


def test_a_folder_is_a_data_set_of_class_folders(tmp_path: Path) -> None:
    spec = request(tmp_path).dataset
    assert (spec.name, spec.options) == ("image_folder", {"folder": str(tmp_path)})


def test_a_file_is_a_table_of_images(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.touch()
    spec = request(table).dataset
    assert (spec.name, spec.options) == ("manifest", {"file": str(table)})


def test_the_metric_is_the_objective_of_the_searches(tmp_path: Path) -> None:
    assert request(tmp_path, metric="balanced_error").objective == "val_balanced_error"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"metric": "balanced_eror"}, "unknown metric .--metric. 'balanced_eror'.*balanced_error"),
        ({"seconds": 0.0}, "the time of a fit .--time. must be above 0, but is 0s"),
        ({"images": "/no/such/folder"}, "no folder of images, and no table of images, at /no/such/folder"),
        ({"devices": "cuda:99"}, "cuda:99"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_it(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        request(tmp_path, **values)
