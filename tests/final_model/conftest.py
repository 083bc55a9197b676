"""A small data set of pictures, and a study on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.final_model.studies import searched
from tests.heldout import zoo
from tests.trainables.datasets import pictures


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the data sets, with 30 pictures in two classes."""
    pictures.folders(tmp_path / "data" / "zoo", zoo.COUNTS, suffix=".png")
    return tmp_path / "data"


@pytest.fixture
def study(root: Path, tmp_path: Path) -> Path:
    return searched(tmp_path / "s", root)
