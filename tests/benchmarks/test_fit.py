"""The two sides of the comparison of `hpo fit` with a script written by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import fit, hand_made
from trainables import vision
from trainables.datasets import image_folder


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A folder of noise in two classes, with a part for training and one for testing."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 3), ("test", 1)):
        for name in ("daisy", "rose"):
            folder = tmp_path / "flowers" / split / name
            folder.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "flowers"


def test_the_table_names_each_file_with_its_class_and_part(flowers: Path, tmp_path: Path) -> None:
    fit.table(image_folder.build(None, folder=str(flowers)), tmp_path / "table.csv")
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 8
    assert {(row["split"], row["label"]) for row in rows} == {
        (split, name) for split in ("train", "test") for name in ("daisy", "rose")
    }
    assert all(Path(row["path"]).parts[-3:-1] == (row["split"], row["label"]) for row in rows)


def test_the_earlier_accuracies_are_those_of_the_studies() -> None:
    assert {name: round(fit.earlier(name), 4) for name in fit.EARLIER} == {"pacs": 0.8898, "caltech101": 0.9146}


def test_the_rate_of_the_script_rises_for_a_tenth_and_falls_to_zero() -> None:
    shares = [hand_made.rate_share(step, 100) for step in range(101)]
    assert max(shares) == shares[9] == shares[10] == 1
    assert shares[:10] == sorted(shares[:10])
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert shares[100] == pytest.approx(0)


@pytest.mark.slow
def test_the_script_trains_at_least_one_epoch_and_classifies_each_held_out_image(flowers: Path, tmp_path: Path) -> None:
    torch.save(vision.models().resnet18().state_dict(), tmp_path / "resnet18.pth")

    def part(name: str) -> hand_made.Images:
        paths = sorted(flowers.glob(f"{name}/*/*.png"))
        labels = torch.tensor([path.parent.name == "rose" for path in paths], dtype=torch.int64)
        return hand_made.decoded(paths, labels)

    weights = tmp_path / "resnet18.pth"
    correct, seconds, epochs = hand_made.held_out_correct(weights, "resnet18", part("train"), part("test"), 0.1)
    assert len(correct) == 2
    assert (seconds > 0, epochs) == (True, 1)
