from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from trainables.data import Files, Part, Source
from trainables.data.splits import search_images
from trainables.errors import SetupError


@dataclass
class GivenParts:
    """A data set of these two parts."""

    own_training: Source
    own_validation: Source
    name: str = "given"
    classes: tuple[str, ...] = ("a", "b")

    def training(self) -> Source:
        return self.own_training

    def validation(self) -> Source:
        return self.own_validation

    def held_out(self) -> None:
        return None


def part(dtype: torch.dtype, size: int = 2) -> Part:
    return Part(torch.ones(2, 1, size, size, dtype=dtype), torch.tensor([0, 1]))


FILES = Files((Path("/a.png"), Path("/b.png")), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("training", "validation", "told"),
    [
        (part(torch.uint8), part(torch.float32), r"are uint8 \(1, 2, 2\), but those of .* are float32 \(1, 2, 2\)"),
        (part(torch.uint8), part(torch.uint8, 3), r"are uint8 \(1, 2, 2\), but those of .* are uint8 \(1, 3, 3\)"),
        (FILES, part(torch.uint8), r"are files, but those of its validation part are uint8"),
    ],
)
def test_parts_of_two_kinds_are_an_error_that_names_both(training: Source, validation: Source, told: str) -> None:
    with pytest.raises(SetupError, match=told):
        search_images(GivenParts(training, validation))


def test_parts_in_memory_are_joined_in_order() -> None:
    source, assignment = search_images(GivenParts(part(torch.uint8), part(torch.uint8)))
    assert assignment is not None
    assert (len(source), assignment.tolist()) == (4, [0, 0, 1, 1])
