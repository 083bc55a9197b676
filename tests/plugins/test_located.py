"""The options of a data set that are paths, looked up in folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo import plugins
from hpo.errors import UserError
from hpo.space import DatasetSpec, Task

SOURCE = "OPTIONS = {'folder': 'a folder', 'n': 'a number'}\nPATHS = ('folder',)\n\n\ndef build(root, **options): ...\n"


def test_only_the_options_that_a_file_declares_as_paths_are_looked_up(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "images").mkdir()
    data = DatasetSpec("mine", {"folder": "images", "n": "images"})
    assert plugins.located_data(data, [tmp_path]).paths == {"folder": str(tmp_path / "images")}
    assert plugins.located_data(data, [tmp_path], only=("n",)).paths == {}


@pytest.mark.parametrize("value", ["missing", "~nobody_of_this_name", "", None, 3, "/", "~"])
def test_a_value_that_is_no_relative_path_of_a_file_stays(tmp_path: Path, value: str | int | None) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    assert plugins.located_data(DatasetSpec("mine", {"folder": value}), [tmp_path]).paths == {}


def test_the_first_folder_counts_and_what_was_found_before_stays(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name / "images").mkdir(parents=True)
    task = Task(dataset=DatasetSpec("image_folder", {"folder": "images"}))
    found = plugins.located(task, [tmp_path / "first", tmp_path / "second"])
    assert found.data_paths == {"dataset": {"folder": str(tmp_path / "first" / "images")}}
    assert plugins.located(found, [tmp_path / "second"]).data_paths == found.data_paths


def test_what_was_moved_is_looked_up_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = Task(dataset=DatasetSpec("image_folder", {"folder": "images"}))
    old = {"dataset": {"folder": str(tmp_path / "gone" / "images")}}
    assert task.relocated(None, None, old).data_paths == old
    (tmp_path / "images").mkdir()
    assert task.relocated(None, None, old).data_paths == {"dataset": {"folder": str(tmp_path / "images")}}


def test_a_declaration_of_paths_that_is_no_tuple_of_names_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE.replace("('folder',)", "{'folder': 1}"))
    with pytest.raises(UserError, match=r"mine\.py: PATHS must be a tuple of names of options"):
        plugins.located_data(DatasetSpec("mine"), [tmp_path])
