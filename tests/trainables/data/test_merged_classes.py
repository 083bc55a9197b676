"""Images of classes that are in no merged class: what messages say about them."""

from __future__ import annotations

import pytest

from tests.trainables.numbered import files
from trainables.data.merged_classes import describe_unmerged

CLASSES = ("cat", "cow", "dog", "hen", "horse")
PARTS = (files(3, 3, 3, 0, 20), None, files(2, 2, 2, 0, 10))


@pytest.mark.parametrize(
    ("merged", "expected"),
    [
        (None, None),
        ({}, None),
        ({"pet": ["cat", "dog"], "farm": ["cow", "horse"]}, None),  # the class hen has no image
        ({"pet": ["cat", "dog"], "farm": ["cow", "hen"]}, "in no merged class: 30 images (horse)"),
        ({"pet": ["cat"], "farm": ["dog"]}, "in no merged class: 35 images (cow, horse)"),
    ],
)
def test_the_images_of_all_parts_and_their_classes_are_named(
    merged: dict[str, list[str]] | None, expected: str | None
) -> None:
    assert describe_unmerged(PARTS, CLASSES, merged) == expected


def test_of_many_classes_some_are_named() -> None:
    classes = tuple("abcdefghi")
    words = describe_unmerged([files(*[1] * 9)], classes, {"x": ["a"], "y": ["b"]})
    assert words == "in no merged class: 7 images (c, d, e, f, g, and 2 more classes)"
    assert describe_unmerged([files(1, 1, 1)], ("a", "b", "c"), {"x": ["a"], "y": ["b"]}) == (
        "in no merged class: 1 image (c)"
    )
