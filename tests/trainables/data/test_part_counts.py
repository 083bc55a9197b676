from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainables.numbered import files
from trainables.data import part_counts
from trainables.data.dataset import DataSet, LeftOut
from trainables.data.file_sets import FileSet
from trainables.datasets import digits

FOLDERS = {"train": "f/train", "validation": "f/val", "test": "f/test"}
WHOLE = FileSet("f", ("a", "b"), files(3, 2), files(1, 2), files(2, 2))


@pytest.mark.parametrize(
    ("dataset", "n_folds", "expected"),
    [
        (WHOLE, None, "images: 3 train, 2 validation, 3 held out"),
        (replace(WHOLE, part_folders=FOLDERS), None, "3 train (f/train), 2 validation (f/val), 3 held out (f/test)"),
        (replace(WHOLE, part_folders=dict.fromkeys(FOLDERS, "f")), None, "3 train, 2 validation, 3 held out (from f)"),
        (replace(WHOLE, part_folders=FOLDERS), 2, "images: 5 in 2 folds (f/train), 3 held out (f/test)"),
        (replace(WHOLE, files_held_out=None), 2, "images: 5 in 2 folds, none held out"),
        (
            replace(WHOLE, files_held_out=None, part_folders=FOLDERS),
            None,
            "images: 3 train (f/train), 2 validation (f/val), none held out",
        ),
    ],
)
def test_the_line_counts_each_part_and_names_its_folder(dataset: FileSet, n_folds: int | None, expected: str) -> None:
    line = part_counts.line(dataset, [0, 1, 0, 1, 0], dataset.files_held_out, n_folds)
    assert line.endswith(expected)
    assert len(line) <= 80


def test_the_line_also_says_what_is_not_used() -> None:
    left_out = (LeftOut(Path("/data/f/train/a/gone.jpg"), "broken links"), LeftOut(Path("n.txt"), "text", False))
    whole = replace(WHOLE, left_out=left_out, part_folders=FOLDERS)
    line = part_counts.line(whole, [0, 1, 0, 1, 0], None, None)
    assert line == (
        "images: 3 train (f/train), 2 validation (f/val), none held out; "
        "not used: 1 file (broken links: 1), such as a/gone.jpg"
    )


def test_without_a_split_a_given_validation_part_is_counted_by_itself() -> None:
    in_memory: DataSet = digits.build(None)
    searched, held_out = in_memory.training(), in_memory.held_out()
    line = part_counts.line_without_split(in_memory, searched, held_out)
    assert line == "images: 1437 to search with, 360 held out"
    assert part_counts.line_without_split(WHOLE, files(5, 4), None) == "images: 5 train, 4 validation, none held out"


def test_the_line_counts_the_groups_that_validate_and_a_note_says_if_they_are_few() -> None:
    groups = ("x", "y", "x", "z", "x")
    assert part_counts.line(WHOLE, [0, 1, 0, 1, 0], None, None, groups=groups).startswith(
        "images: 3 train, 2 validation (2 groups), none"
    )
    assert "5 in 2 folds (3 groups)" in part_counts.line(WHOLE, [0, 1, 0, 1, 0], None, 2, groups=groups)
    assert str(part_counts.few_groups([0, 1, 0, 1, 0], groups, None)).startswith("only 2 groups validate: ")
    assert part_counts.few_groups([0, 1, 0, 1, 0], (), None) is None
    assert part_counts.few_groups([1] * 10, tuple("abcdefghij"), None) is None


def test_the_line_of_a_data_set_alone_counts_its_groups() -> None:
    searched = replace(files(2, 1), groups=("x", "y", "x"))
    whole = replace(WHOLE, files=searched, files_validation=None)
    assert part_counts.line_without_split(whole, searched, None) == "images: 3 to search with (2 groups), none held out"
