from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.record import Budget, Settings, StudyFolder
from hpo.results.image_groups import group_lines, held_out_group_lines
from hpo.space import DatasetSpec, Fidelity, Float, SearchSpace, Task, Validation


def study(folder: Path, *, group: str | None = None, record: dict[str, Any] | None = None) -> StudyFolder:
    """A study of an image folder with a record of its data, or without one."""
    task = Task("tests.toy", dataset=DatasetSpec("image_folder"), validation=Validation(group=group))
    made = StudyFolder(folder, SearchSpace("images", {"x": Float(0, 1)}, Fidelity(2), task), Settings(), Budget())
    made.write_data_record(record)
    return made


@pytest.mark.parametrize(
    ("n_groups", "words"),
    [(3, "The images of the search (6) are of 3 groups, so the intervals are too narrow."), (6, None), (None, None)],
)
def test_a_line_names_the_groups_on_record_if_they_hold_several_images(
    tmp_path: Path, n_groups: int | None, words: str | None
) -> None:
    record = {"dataset": {"assignment": [0, 1, 0, 0, 1, 1]}, "n_groups": n_groups}
    lines = group_lines(study(tmp_path, group="folder", record=record), None, 2)
    assert [line.endswith(words or "nothing") for line in lines] == ([] if words is None else [True])


def test_without_a_record_of_groups_the_space_says_whether_there_are_some(tmp_path: Path) -> None:
    (line,) = group_lines(study(tmp_path, group="folder"), None, 2)
    assert "The images of the search come in groups" in line
    assert group_lines(study(tmp_path), None, 2) == []
    assert group_lines(study(tmp_path, record={"dataset": None}), None, 2) == []


def test_the_line_about_held_out_images_does_not_count_those_of_the_search(tmp_path: Path) -> None:
    record = {"dataset": {"assignment": [0, 1, 0, 0, 1, 1]}, "n_groups": 3}
    (line,) = held_out_group_lines(study(tmp_path, group="folder", record=record), None, 3)
    assert "These images come in groups, so" in line
    assert not any(each.isdigit() for each in line)


def test_a_line_says_that_groups_are_independent_instead_of_images(tmp_path: Path) -> None:
    grouped = study(tmp_path, group="folder")
    for lines in (group_lines, held_out_group_lines):
        assert lines(grouped, 1200, 36000) == [
            "The intervals take the 1,200 groups of the 36,000 images as independent."
        ]
        assert lines(grouped, 1, 12) == ["The 12 images are all of one group, which says nothing of other groups."]
        assert lines(grouped, 12, 12) == []


@pytest.mark.parametrize(("n_groups", "is_rough"), [(2, True), (4, True), (5, False)])
def test_a_line_says_that_few_groups_give_rough_intervals(tmp_path: Path, n_groups: int, is_rough: bool) -> None:
    (line,) = held_out_group_lines(study(tmp_path, group="folder"), n_groups, 40)
    assert line.startswith(f"The intervals take the {n_groups} groups of the 40 images as independent.")
    assert line.endswith("So few say little about others: intervals and comparisons are rough.") == is_rough
