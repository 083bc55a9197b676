from __future__ import annotations

from pathlib import Path

import pytest

from hpo.loop import begin
from hpo.record import Budget
from tests.heldout import zoo
from tests.heldout.studies import searched
from tests.trainables.datasets import pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a finished search of three trials on real images."""
    return searched(tmp_path / "s")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the data sets, with 30 pictures in two classes."""
    pictures.folders(tmp_path / "data" / "zoo", zoo.COUNTS, suffix=".png")
    return tmp_path / "data"


@pytest.fixture
def study(root: Path, tmp_path: Path) -> Path:
    """A finished search of two trials."""
    begin(tmp_path / "s", zoo.space(), zoo.settings(root), Budget(trials=2))
    return tmp_path / "s"
