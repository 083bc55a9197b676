from pathlib import Path

import pytest

from tests.trainables.numbered import files
from trainables.data.dataset import Files
from trainables.data.file_sets import FileSet, groups_of, with_groups
from trainables.data.heldout import held_out
from trainables.datasets import digits
from trainables.errors import SetupError

PATHS = [Path("a/p1/x_7.png"), Path("b/p1/y_8.png"), Path("b/p2/x_9.png")]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("folder", ("p1", "p1", "p2")),
        ("^.", ("x", "y", "x")),
        (r"_(\d)", ("7", "8", "9")),
        (r"([a-z])_(\d)", ("x", "y", "x")),
    ],
)
def test_the_group_of_a_file_is_its_folder_or_what_an_expression_finds(group: str, expected: tuple[str, ...]) -> None:
    assert groups_of(PATHS, group) == expected


@pytest.mark.parametrize("group", ["z", "q*", "(q)?x"])
def test_an_expression_that_finds_nothing_names_the_file(group: str) -> None:
    with pytest.raises(SetupError, match=r"matches nothing in the name of .*_\d\.png"):
        groups_of(PATHS, group)


def test_the_parts_of_a_data_set_get_groups_and_keep_their_files() -> None:
    whole = FileSet("pets", ("a", "b"), files(3, 2), None, files(0, 1), notes=("note",))
    grouped = with_groups(whole, ".")
    training = grouped.training()
    assert isinstance(training, Files)
    assert (training.paths, training.groups) == (whole.files.paths, ("0", "1", "2", "3", "4"))
    assert held_out(grouped) is None
    assert (grouped.name, getattr(grouped, "notes", None)) == ("pets", ("note",))


def test_images_in_memory_have_no_groups() -> None:
    grouped = with_groups(digits.build(None), "folder")
    with pytest.raises(SetupError, match="the images of data set 'digits' are in memory"):
        grouped.training()
