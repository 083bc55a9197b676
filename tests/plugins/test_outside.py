"""A model, a data set and a regime from outside, one file each: searched and tested without a change to hpo.

Once they are modules beside the space file, named `package.module`; once an installed package offers
them under short names, by entry points.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MODEL = '''
"""A linear model."""

from torch import nn

from trainables.hyperparameters import read_int
from trainables.models import InputSpec, TransferModel, linear_head

HYPERPARAMETERS = {"units": "of the hidden layer, a whole number of at least 1; default 4"}
READS_ALSO = ("trainables.models",)
INPUT = InputSpec(size=6, channels=3)


def build(config, *, shape, n_classes, weights):
    assert shape == (3, 6, 6)
    units = read_int(config, "units", 4)
    hidden = nn.Sequential(nn.Flatten(), nn.Linear(108, units), nn.ReLU())
    return TransferModel({"hidden": hidden}, linear_head(units, n_classes, config))
'''
DATASET = '''
"""Dark and bright images."""

import torch

from trainables.data import Part

OPTIONS = {"contrast": "between dark and bright, 0 to 1", "kind": ["plain", "noisy"]}


class Light:
    name, classes = "light", ("dark", "bright")

    def __init__(self, contrast, kind):
        self._contrast, self._noise = contrast, 0.1 if kind == "noisy" else 0.0

    def _part(self, n, seed):
        noise = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        labels = torch.arange(n) % 2
        return Part(labels.reshape(-1, 1, 1, 1) * self._contrast * 0.9 + self._noise * noise, labels)

    def training(self):
        return self._part(60, 0)

    def held_out(self):
        return self._part(20, 1)


def build(root, *, contrast=1.0, kind="noisy"):
    return Light(contrast, kind)
'''
REGIME = '''
"""Training, then some rest."""

from trainables import training

HYPERPARAMETERS = {"rest": ["long", "short"]}
READS_ALSO = ("trainables.training",)


def build(config, model, data, device):
    assert config["rest"] in ("long", "short")
    model.freeze(())
    return training.build(config, model, data, device)
'''
SPACE = """
# A search of what comes from outside.
task:
  regime: {regime}
  model: {model}
  dataset: {{name: {dataset}, contrast: 0.8, kind: noisy}}
space:
  lr: {{low: 1e-2, high: 1e-1, log: true}}
  units: {{choices: [4, 8]}}
fixed: {{rest: short, optimizer: adam, batch_size: 8}}
fidelity: {{low: 1, high: 4}}
"""


def write(folder: Path, names: dict[str, str]) -> None:
    """The three modules in a package `guest`, and a space that has these names."""
    package = folder / "guest"
    package.mkdir()
    for name, source in (("model", MODEL), ("dataset", DATASET), ("regime", REGIME)):
        (package / f"{name}.py").write_text(source)
    (folder / "space.yaml").write_text(SPACE.format(**names))


def hpo(folder: Path, *words: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A command in `folder`, with `path` on the path of Python."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}"}
    return subprocess.run(
        [sys.executable, "-m", "hpo.cli", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def search(folder: Path, *words: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    common = ["--space", "space.yaml", "--study", "s", "--trials", "2", "--devices", "cpu", "-q"]
    return hpo(folder, "search", *common, "--backend", "random", *words, path=path)


@pytest.mark.slow
def test_modules_beside_the_space_file_are_searched_by_their_dotted_names(tmp_path: Path) -> None:
    write(tmp_path, {name: f"guest.{name}" for name in ("model", "dataset", "regime")})
    result = search(tmp_path, "--runner", "processes", "--slots", "1")
    assert result.returncode == 0, result.stderr
    rows = (tmp_path / "studies" / "s" / "trials.csv").read_text().splitlines()
    assert len(rows) == 3
    assert ",units," in rows[0]


@pytest.mark.slow
def test_what_an_installed_package_offers_by_entry_points_is_searched_and_tested(tmp_path: Path) -> None:
    site, home = tmp_path / "site", tmp_path / "home"
    site.mkdir()
    home.mkdir()
    write(home, {"model": "tiny", "dataset": "light", "regime": "restful"})
    (home / "guest").rename(site / "guest")
    info = site / "guest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 1.0\n")
    groups = {"models": "tiny = guest.model", "datasets": "light = guest.dataset", "regimes": "restful = guest.regime"}
    text = "\n".join(f"[trainables.{group}]\n{point}\n" for group, point in groups.items())
    (info / "entry_points.txt").write_text(text)
    result = search(home, "--runner", "inline", path=site)
    assert result.returncode == 0, result.stderr
    result = hpo(home, "test", "s", path=site)
    assert result.returncode == 0, result.stderr
    content = json.loads((home / "studies" / "s" / "test.json").read_text())
    assert content["results"][0]["test_accuracy"]["mean"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("fixed.rest=soon", "fixed.rest=soon: 'soon' is unknown (allowed: long, short)"),
        ("fixed.unit=4", "fixed.unit=4: nothing that this task names reads it; did you mean 'units'?"),
        ("task.dataset.kind=nosy", "task.dataset.kind=nosy: 'nosy' is unknown; did you mean 'noisy'?"),
        ("task.dataset.contras=1", "data set 'guest.dataset' has no such option; did you mean 'contrast'?"),
        ("task.model=guest.modle", "unknown model module 'guest.modle'; did you mean 'guest.model'?"),
    ],
)
def test_what_they_declare_is_checked_before_anything_is_trained(tmp_path: Path, override: str, words: str) -> None:
    write(tmp_path, {name: f"guest.{name}" for name in ("model", "dataset", "regime")})
    result = search(tmp_path, "--set", override)
    assert (result.returncode, words in result.stderr) == (2, True), result.stderr
    assert not (tmp_path / "studies").exists()
