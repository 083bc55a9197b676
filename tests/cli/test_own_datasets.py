"""A data set in a Python file beside the space: searched, resumed and tested, also from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cli.commands import Hpo

SOURCE = '''
"""Dark and bright images."""

import torch

from trainables.data import Part

OPTIONS = {"n": "the number of images"}


class Light:
    name, classes = "light", ("dark", "bright")

    def __init__(self, n):
        self.n = n

    def _part(self, n, seed):
        noise = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        labels = torch.arange(n) % 2
        return Part(labels.reshape(-1, 1, 1, 1) * 0.5 + 0.5 * noise, labels)

    def training(self):
        return self._part(self.n, 0)

    def held_out(self):
        return self._part(20, 1)


def build(root, *, n=40):
    return Light(n)
'''
SPACE = {
    "task": {"regime": "from_scratch", "model": "softmax_regression", "dataset": {"name": "light", "n": 60}},
    "space": {"lr": {"low": 0.01, "high": 0.1}},
    "fidelity": {"high": 1},
}

WORDS = ("--backend", "random", "--runner", "inline", "--study", "s", "-q")


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPO_CACHE", "off")
    path = tmp_path / "mine" / "own.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(SPACE))
    (path.parent / "light.py").write_text(SOURCE)
    return path


def search(hpo: Hpo, space: Path) -> None:
    """Search one trial of the space, as the study `s`."""
    result = hpo("search", "--space", space, "--trials", 1, *WORDS)
    assert result.exit_code == 0, result.output


def test_a_file_beside_the_space_is_searched_resumed_and_tested_from_elsewhere(
    hpo: Hpo, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(hpo, space)
    study = tmp_path / "studies" / "s"
    assert yaml.safe_load((study / "study.yaml").read_text())["data_files"] == {
        "dataset": str(space.parent / "light.py")
    }
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for result in (hpo("resume", study, "--trials", 2, "-q"), hpo("test", study)):
        assert result.exit_code == 0, result.output


def test_a_file_that_moved_is_found_in_the_working_directory_and_otherwise_missed(
    hpo: Hpo, space: Path, tmp_path: Path
) -> None:
    search(hpo, space)
    old = space.parent / "light.py"
    old.rename(tmp_path / "light.py")
    assert hpo("resume", "s", "--trials", 2, "-q").exit_code == 0
    (tmp_path / "light.py").unlink()
    for result in (hpo("resume", "s", "--trials", 3), hpo("test", "s")):
        assert result.exit_code == 2, result.output
        assert f"dataset 'light': there is no file {tmp_path / 'light.py'}; bring it back" in result.output
    assert "2 complete" in hpo("status", "s").output


def test_images_that_the_file_gives_otherwise_are_noticed(hpo: Hpo, space: Path) -> None:
    search(hpo, space)
    file = space.parent / "light.py"
    file.write_text("# a comment changes nothing\n" + SOURCE)
    assert hpo("resume", "s", "--trials", 2, "-q").exit_code == 0
    file.write_text(SOURCE.replace("* 0.5 +", "* 0.25 +"))
    result = hpo("resume", "s", "--trials", 3)
    assert result.exit_code == 2
    assert "the images to search with differ from those it was begun on" in result.output


def test_hpo_data_finds_a_file_in_the_working_directory(hpo: Hpo, space: Path, tmp_path: Path) -> None:
    (space.parent / "light.py").rename(tmp_path / "light.py")
    result = hpo("data", "light", "--option", "n=50")
    assert result.exit_code == 0, result.output
    assert "2 classes: 50 images to search with, 20 held out" in result.output


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    return Light(n)", "    return Light[n]", "light.py:30: TypeError: "),
        ("    return Light(n)", "    pass", "light.py: what `build` returns must have the attribute `name`, a text"),
        ('("dark", "bright")', '"dark"', "must have the attribute `classes`, a tuple of names, but it is 'dark'"),
        ('("dark", "bright")', '("dark", "dark")', "has two classes of one name: 'dark'"),
        ('("dark", "bright")', '("dark",)', "must have two classes or more, but has 1"),
        ("def training", "def train", "must have the method"),
        ("return self._part(self.n, 0)", "return {}['x']", "light.py:23: KeyError: 'x'"),
        ("return self._part(self.n, 0)", "return [1]", "`training` must return a Part or Files, but returns a list"),
        ("return self._part(20, 1)", "return self._part(-1, 1)", "light.py:18: RuntimeError: "),
        (
            "labels)\n\n    def t",
            "labels + 1)\n\n    def t",
            "`training` returns has the label 2, but there are 2 classes",
        ),
        (
            "return self._part(20, 1)",
            "return self._part(0, 1)",
            "light.py:20: ValueError: a part needs a label for each",
        ),
        ("return self._part(self.n, 0)", "raise SystemExit(0)", "light.py:23: SystemExit: 0"),
        ("    return Light(n)", "    raise SystemExit", "light.py:30: SystemExit: SystemExit"),
        ("    name, classes", "    notes = 'one'\n    name, classes", "has `notes` 'one'; it must be a tuple of texts"),
        (
            "    name, classes",
            "    rare_classes = 'no'\n    name, classes",
            "has `rare_classes` 'no'; it must be None or",
        ),
        ("import torch", "import torch\nraise SystemExit(0)", "light.py:5: SystemExit: 0"),
        ("import torch", "import torc", "dataset 'light' needs torc, which is not installed"),
        ("import torch", "import torch\n1 / 0", "light.py:5: ZeroDivisionError: division by zero"),
        ("import torch", "import torch\n1 +", "light.py:5: is broken Python: "),
    ],
)
def test_a_mistake_in_the_file_is_one_line(
    hpo: Hpo, space: Path, tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in SOURCE
    (space.parent / "light.py").write_text(SOURCE.replace(old, new))
    searched = hpo("search", "--space", space, "--trials", 1, "--study", "s", "--runner", "inline", "-q")
    (space.parent / "light.py").rename(tmp_path / "light.py")
    for result in (searched, hpo("data", "light")):
        assert result.exit_code == 2, result.output
        assert told in result.output
        assert "Traceback" not in result.output
    assert not (tmp_path / "studies" / "s" / "study.yaml").exists()
