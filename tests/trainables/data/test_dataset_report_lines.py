import os
from dataclasses import replace
from pathlib import Path

import pytest

from trainables.data.dataset import LeftOut
from trainables.data.dataset_report import (
    ClassCounts,
    DatasetReport,
    DuplicatePair,
    SizeStatistics,
    UnreadableFile,
    lines,
    not_used,
)

SOUND = DatasetReport(
    classes=(ClassCounts("rose", 12, 3), ClassCounts("daisy", 1234, 56)),
    width=SizeStatistics(80, 250.5, 300),
    height=SizeStatistics(90, 200, 3000),
    n_grey=17,
    mean=(0.5, 0.25, 0.125),
    std=(0.1, 0.2, 0.3),
    unreadable=(),
    empty=(),
    in_both_parts=(),
    in_two_classes=(),
)


def test_a_sound_data_set_is_told_in_so_many_lines() -> None:
    assert lines(SOUND) == [
        "2 classes: 1246 images to search with, 59 held out",
        "",
        "class  search  held out   class  search  held out",
        "rose       12         3   daisy    1234        56",
        "",
        "Of the images to search with:",
        "  width   80 to 300 pixels, median 250.5",
        "  height  90 to 3000 pixels, median 200",
        "  grey    17",
        "  mean    0.5000  0.2500  0.1250",
        "  std     0.1000  0.2000  0.3000",
        "",
        "All can be read, none is held out as well, and none is in two classes.",
    ]


LEFT_OUT = (
    LeftOut(Path("rose/.DS_Store"), "hidden", may_matter=False),
    LeftOut(Path("rose/a.jpg"), "broken links"),
    *(LeftOut(Path(f"rose/{i:02}"), "of no known image format") for i in range(12)),
    LeftOut(Path(os.fsdecode(b"ros\xe9/b.jpg")), "broken links"),
)


def test_that_all_can_be_read_is_said_only_where_nothing_is_left_out() -> None:
    assert lines(replace(SOUND, left_out=LEFT_OUT))[12:] == [
        "Left out, broken links: 2",
        "  rose/a.jpg",
        r"  ros\xe9/b.jpg",
        "Left out, of no known image format: 12",
        *(f"  rose/{i:02}" for i in range(10)),
        "  and 2 more",
        "Left out, hidden: 1",
        "  rose/.DS_Store",
        "",
        "All others can be read, none is held out as well, and none is in two classes.",
    ]


def test_what_may_have_been_meant_to_be_an_image_is_counted_in_words() -> None:
    words = "not used: 14 files (broken links: 2, of no known image format: 12), such as rose/a.jpg"
    assert not_used(LEFT_OUT) == words
    assert not_used(LEFT_OUT[:1]) is None
    assert not_used(()) is None


def test_what_is_broken_is_told_by_kind_and_number() -> None:
    found = replace(
        SOUND,
        unreadable=(UnreadableFile("rose/1.jpg", "truncated"),),
        empty=("rose", "daisy"),
        in_both_parts=(DuplicatePair("rose/2.jpg", "rose/3.jpg"),),
        in_two_classes=(DuplicatePair("rose/4.jpg", "daisy/5.jpg"), DuplicatePair("rose/6.jpg", "daisy/7.jpg")),
    )
    assert lines(found)[12:] == [
        "Classes that lack images in one of the parts: rose, daisy",
        "Images that are unreadable: 1",
        "  rose/1.jpg: truncated",
        "Images that are held out, and also to be trained on: 1",
        "  rose/2.jpg = rose/3.jpg",
        "Images that are the same, but in two classes: 2",
        "  rose/4.jpg = daisy/5.jpg",
        "  rose/6.jpg = daisy/7.jpg",
    ]


def test_of_many_faults_the_first_are_shown_and_the_rest_counted() -> None:
    found = replace(SOUND, unreadable=tuple(UnreadableFile(f"{i}.jpg", "empty") for i in range(25)))
    assert lines(found)[-3:] == ["  8.jpg: empty", "  9.jpg: empty", "  and 15 more"]
    assert "Images that are unreadable: 25" in lines(found)


@pytest.mark.parametrize("longest", [1, 12, 30, 60])
@pytest.mark.parametrize("n", [1, 2, 7, 101])
def test_a_line_has_at_most_80_characters_and_no_class_is_left_out(n: int, longest: int) -> None:
    classes = tuple(ClassCounts(f"{i:03}{'x' * longest}"[: max(longest, 3)], 100 + i, 900 + i) for i in range(n))
    found = lines(replace(SOUND, classes=classes))
    assert max(map(len, found)) <= 80
    table = " ".join(found[3:])
    assert all(f"{each.n_training:8}{each.n_held_out:10}" in table for each in classes)
