"""The study that the tests of figures draw."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.heldout import Plan, evaluate
from hpo.loop import begin
from hpo.record import Budget, Settings
from tests.figures.sealed_digits import SPACE, Sealed


@pytest.fixture(scope="package")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A study of four trials, all tested over two seeds; from here on its held-out part is sealed."""
    folder = tmp_path_factory.mktemp("studies") / "s"
    Sealed.sealed = (
        False  # the tests of reports make this study too, and pytest-xdist may mix them with those of figures
    )
    begin(folder, SPACE, Settings(backend="grid", runner="inline", devices="cpu"), Budget())
    evaluate(folder, Plan(top=4, seeds=2))
    Sealed.sealed = True
    yield folder
    Sealed.sealed = False


@pytest.fixture
def folder(tested: Path, tmp_path: Path) -> Path:
    """A copy of that study, to be changed."""
    return Path(shutil.copytree(tested, tmp_path / "s"))


@pytest.fixture
def clone(folder: Path) -> Path:
    """What a clone of the study holds: neither record nor checkpoints."""
    shutil.rmtree(folder / "checkpoints")
    (folder / "ledger.log").unlink()
    return folder
