"""`hpo fetch`: weights and data sets are downloaded once, and a download that fails says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.commands import Hpo
from trainables import vision


@pytest.fixture
def hpo(hpo: Hpo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hpo:
    """The same, with the data sets in `data`."""
    monkeypatch.setenv("HPO_DATA", str(tmp_path / "data"))
    return hpo


MODEL = """
WEIGHTS = "own.pth"

def fetch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("the weights")

def build(config, *, shape, n_classes, weights):
    raise NotImplementedError
"""


def test_weights_are_fetched_once_to_the_folder_of_the_weights(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "own_model_of_fetch").mkdir()
    (tmp_path / "own_model_of_fetch" / "model.py").write_text(MODEL)
    path = tmp_path / "data" / "weights" / "own.pth"
    result = hpo("fetch", "--model", "own_model_of_fetch.model")
    assert (result.exit_code, result.output) == (0, f"own_model_of_fetch.model: {path}\n")
    assert path.read_text() == "the weights"
    path.write_text("kept")
    assert hpo("fetch", "--model", "own_model_of_fetch.model").exit_code == 0
    assert path.read_text() == "kept"


def test_a_download_that_fails_is_a_fault_of_the_machine_and_says_why_and_what_to_put_where(
    hpo: Hpo, tmp_path: Path
) -> None:
    (tmp_path / "own_offline").mkdir()
    lost = MODEL.replace('path.write_text("the weights")', r'raise OSError("\nno route to host\nand so on")')
    (tmp_path / "own_offline" / "model.py").write_text(lost)
    result = hpo("fetch", "--model", "own_offline.model")
    assert result.exit_code == 1
    assert "the weights of own_offline.model cannot be downloaded: no route to host; download" in result.output
    assert str(tmp_path / "data" / "weights" / "own.pth") in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("name", "module"), [("mnist", "mnist"), ("caltech101", "caltech")])
def test_a_data_set_that_cannot_be_downloaded_says_so_once_and_leaves_no_folder(
    hpo: Hpo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    def fail(*args: object, **others: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(getattr(vision.datasets(), module), "download_and_extract_archive", fail)
    result = hpo("fetch", "--dataset", name)
    assert result.exit_code == 1
    assert result.output.count("cannot be downloaded") == 1
    assert f"{name} cannot be downloaded: " in result.output
    assert f"copy it to {tmp_path / 'data' / name}" in result.output
    assert not list((tmp_path / "data").iterdir())


def test_a_missing_package_of_a_model_is_named_by_its_extra(hpo: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what Python calls a module that is not there
    result = hpo("fetch", "--model", "timm:resnet10t")
    assert result.exit_code == 2
    assert "pip install 'hpo[timm]'" in result.output
    assert "Traceback" not in result.output
