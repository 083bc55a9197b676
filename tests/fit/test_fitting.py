"""Fits of random networks on small pictures, interrupted and not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hpo.errors import UserError
from hpo.final_model import load_model
from hpo.fit import FitFolder, FitRequest, fit
from tests.cli.commands import ROOT
from tests.fit.notes import Notes
from trainables import vision

CLASSES = ("daisy", "rose", "tulip")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of pictures of three classes, each of another brightness."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "flowers"
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(80 * number, 80 * number + 90, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of data sets and weights, with random weights of SqueezeNet."""
    (tmp_path / "data" / "weights").mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = vision.models().get_model("squeezenet1_0", num_classes=1)
    torch.save(network.state_dict(), tmp_path / "data" / "weights" / "squeezenet1_0.pth")
    return tmp_path / "data"


def request(images: Path, data: Path, seconds: float = 10.0) -> FitRequest:
    return FitRequest(str(images), seconds, models=("squeezenet",), data=str(data), devices="cpu")


def looks(out: Path) -> int:
    """The number of looks at held-out images, over all studies of a fit."""
    return sum(json.loads(path.read_text())["looks"] for path in out.glob("studies/*/test.json"))


@pytest.mark.slow
def test_a_folder_of_images_becomes_a_tested_model_and_a_page(images: Path, data: Path, tmp_path: Path) -> None:
    out, notes = tmp_path / "out", Notes()
    result = fit(FitFolder(out, request(images, data)), notes)
    assert any("3 classes, 16 images each" in line for line in notes.lines)
    assert looks(out) == 1
    about = json.loads((out / "model" / "model.json").read_text())
    protocol = json.loads((out / "fit.json").read_text())["steps"]["protocol"]["protocol"]
    assert about["training"]["trained_on"] == {"refit": "train+validation", "checkpoint": "train"}[protocol]
    assert about["results"]["test"] is not None
    assert "<html" in (out / "report.html").read_text()
    found = load_model(out / "model", device="cpu").predict(sorted(images.glob("*/*.png")))
    assert set(found["class"]) <= set(CLASSES)
    assert (found["class"] == [path.parent.name for path in sorted(images.glob("*/*.png"))]).mean() > 0.8
    again = fit(FitFolder(out, request(images, data)), Notes())
    assert again == result
    assert looks(out) == 1


@pytest.mark.slow
def test_a_killed_fit_goes_on_and_looks_at_held_out_images_once(images: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "hpo.cli", "fit", str(images), "--time", "10s", "--models", "squeezenet"]
    command += ["--out", str(out), "--data", str(data), "--devices", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for seconds in (4.0, 8.0):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert "How to use it:" in finished.stdout
    assert looks(out) == 1
    assert (out / "model" / "README.md").exists()


FRAGILE = """
import torch
from torch import nn

from trainables.models import squeezenet

WEIGHTS, INPUT = squeezenet.WEIGHTS, squeezenet.INPUT
READS_ALSO = ("trainables.models.squeezenet",)


class Fragile(nn.Module):
    def forward(self, images):
        if self.training and torch.is_grad_enabled():
            raise RuntimeError("it cannot be trained")
        return images


def build(config, *, shape, n_classes, weights):
    model = squeezenet.build(config, shape=shape, n_classes=n_classes, weights=weights)
    model.head = nn.Sequential(Fragile(), *model.head)
    return model
"""
"""A model whose features can be computed, and that cannot be trained by gradient descent."""


@pytest.mark.slow
def test_a_fit_whose_fine_tuning_fails_ends_with_the_best_probe(
    images: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_models").mkdir()
    (tmp_path / "own_models" / "fragile.py").write_text(FRAGILE)
    monkeypatch.syspath_prepend(tmp_path)
    asked = FitRequest(str(images), 120.0, models=("own_models.fragile",), data=str(data), devices="cpu")
    out, notes = tmp_path / "out", Notes()
    result = fit(FitFolder(out, asked), notes)
    assert any(line.startswith("fine-tuning failed, so the best probe is taken: ") for line in notes.lines)
    assert result.study == "auto_probe"
    assert looks(out) == 1
    assert fit(FitFolder(out, asked), Notes()) == result


def test_a_folder_of_one_class_is_an_error_before_anything_is_ranked(images: Path, data: Path, tmp_path: Path) -> None:
    for path in images.iterdir():
        if path.name != "daisy":
            path.rename(tmp_path / path.name)
    notes = Notes()
    with pytest.raises(UserError, match="holds one folder, daisy: at least two class folders are needed"):
        fit(FitFolder(tmp_path / "out", request(images, data)), notes)
    assert len(notes.steps) == 1


def test_without_weights_the_error_says_how_to_get_some(images: Path, tmp_path: Path) -> None:
    asked = FitRequest(str(images), 60.0, data=str(tmp_path / "empty"), devices="cpu")
    with pytest.raises(UserError, match=r"no weights of a pretrained model in .*empty/weights: `hpo fetch --model"):
        fit(FitFolder(tmp_path / "out", asked), Notes())
