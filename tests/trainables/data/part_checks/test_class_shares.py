from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from trainables.data import Files, Part, Source
from trainables.data.part_checks import class_shares, parts_of


def part(*counts: int) -> Part:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return Part(torch.rand(len(labels), 1, 2, 2, generator=torch.Generator().manual_seed(len(labels))), labels)


def test_the_share_of_a_class_is_that_of_the_images_of_the_part() -> None:
    shares = class_shares.compute({"training": part(3, 1), "held-out": part(1, 1)}, ("cat", "dog"))
    assert [(each.name, each.counts, each.shares) for each in shares] == [
        ("cat", (3, 1), (0.75, 0.5)),
        ("dog", (1, 1), (0.25, 0.5)),
    ]
    assert shares[1].inequality == pytest.approx(0.25 / 0.375)
    table = class_shares.table(shares, ["training", "held-out"])
    assert table.to_dict("list") == {
        "class": ["cat", "dog"],
        "training_images": [3, 1],
        "training_share": [0.75, 0.25],
        "held-out_images": [1, 1],
        "held-out_share": [0.5, 0.5],
    }


def test_of_many_classes_the_most_unequal_and_the_smallest_are_shown_in_80_columns() -> None:
    first, second = [20] * 40, [20] * 40
    first[7], second[7] = 40, 5  # unequal
    first[9], second[9] = 2, 2  # small
    names = [f"class number {i} with a very long name, longer than any" for i in range(40)]
    parts = {"training": part(*first), "validation": part(*second), "held-out": part(*second)}
    lines = class_shares.lines(class_shares.compute(parts, names), list(parts))
    assert "6 of 40 classes" in lines[0]
    assert len(lines) == 3 + class_shares.MAX_ROWS
    assert "class number 7 " in lines[3]
    assert any("class number 9 " in line for line in lines)
    assert max(map(len, lines)) <= 80


@dataclass
class Parts:
    """A data set of these parts."""

    own_training: Source
    own_validation: Source | None = None
    name: str = "parts"
    classes: tuple[str, ...] = ("a", "b")

    def training(self) -> Source:
        return self.own_training

    def validation(self) -> Source | None:
        return self.own_validation

    def held_out(self) -> Source | None:
        return None


def test_the_training_part_is_cut_as_a_search_does() -> None:
    found = parts_of(Parts(part(10, 20)), part(2, 2), fraction=0.2, seed=42)
    assert found.note is None
    assert {name: each.labels.bincount().tolist() for name, each in found.parts.items()} == {
        "training": [8, 16],
        "validation": [2, 4],
        "held-out": [2, 2],
    }


def test_a_given_validation_part_is_taken_and_a_missing_part_left_out() -> None:
    given = parts_of(Parts(part(10, 20), part(1, 3)), None, fraction=0.2, seed=42)
    assert {name: len(each) for name, each in given.parts.items()} == {"training": 30, "validation": 4}
    rare = parts_of(Parts(part(1, 20)), part(2, 2), fraction=0.2, seed=42)
    assert list(rare.parts) == ["training", "held-out"]
    assert rare.note is not None
    assert rare.note.startswith("no validation part can be cut off by the default split: class 'a' has 1 of 21")


def test_groups_that_cannot_be_divided_are_told_and_leave_the_training_part_whole() -> None:
    crossed = Files(
        tuple(Path(f"/{i}.png") for i in range(6)), torch.tensor([0, 0, 1, 1, 2, 2]), groups=tuple("ghhkkg")
    )
    found = parts_of(Parts(crossed, classes=("a", "b", "c")), None, fraction=0.2, seed=42)
    assert {name: len(each) for name, each in found.parts.items()} == {"training": 6}
    assert found.note is not None
    assert "cannot be divided" in found.note
