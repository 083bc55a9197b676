"""Weights, and images in memory, that change during a study. They cannot be left out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hpo.errors import StudyError
from hpo.figures.plot import plot
from hpo.heldout import Plan, evaluate
from hpo.loop import begin, resume
from hpo.record import Budget
from hpo.space import Fidelity, SearchSpace, Task
from tests.heldout.zoo import LR, settings, space

TINY = """
from torch import nn
from trainables.models import TransferModel, load_into
HYPERPARAMETERS = {}
def build(config, *, shape, n_classes, weights):
    model = TransferModel({"stage": nn.Sequential(nn.Flatten(), nn.Linear(48, 8))}, nn.Linear(8, n_classes))
    if weights != "none":
        load_into(model, weights, head="head.", model="tiny")
    return model
"""


def write_weights(path: Path, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    tensors = {"stages.stage.1.weight": torch.rand(8, 48, generator=draw), "stages.stage.1.bias": torch.zeros(8)}
    torch.save(tensors, path)


def test_weights_that_changed_are_refused_and_cannot_be_skipped(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package, path = f"tiny_{tmp_path.name}", tmp_path / "tiny.pth"
    (tmp_path / package).mkdir()
    (tmp_path / package / "model.py").write_text(TINY)
    write_weights(path, 0)
    task = {"regime": "linear_probe", "model": f"{package}.model", "weights": str(path)}
    begin(tmp_path / "s", space(**task), settings(root), Budget(trials=1))
    write_weights(path, 0)
    resume(tmp_path / "s", Budget(trials=2))
    write_weights(path, 1)
    for go_on in (
        lambda: resume(tmp_path / "s", Budget(trials=3), skip_changed_files=True),
        lambda: evaluate(tmp_path / "s", Plan(protocol="checkpoint"), skip_changed_files=True),
        lambda: plot(tmp_path / "s", "tsne", skip_changed_files=True),
    ):
        with pytest.raises(StudyError, match=rf"its weights {path} were changed since it was begun"):
            go_on()
    path.unlink()
    with pytest.raises(StudyError, match=rf"its weights {path} were removed since it was begun"):
        evaluate(tmp_path / "s")


def test_images_in_memory_that_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = f"stripes_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "data.py").write_text(STRIPES)
    one = SearchSpace("stripes", LR, Fidelity(1), Task("from_scratch", "softmax_regression", dataset=f"{package}.data"))  # type: ignore[arg-type]
    monkeypatch.setenv("STRIPES", "100")
    begin(tmp_path / "s", one, settings(tmp_path), Budget(trials=1))
    resume(tmp_path / "s", Budget(trials=2))
    evaluate(tmp_path / "s", Plan(protocol="checkpoint"))
    monkeypatch.setenv("STRIPES", "101")
    with pytest.raises(StudyError, match="the images to search with differ from those it was begun on"):
        resume(tmp_path / "s", Budget(trials=3), skip_changed_files=True)


STRIPES = """
import os
import torch
from trainables.data import Part
class Stripes:
    name, classes = "stripes", ("a", "b")
    def training(self):
        n = int(os.environ["STRIPES"])
        return Part(torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(n) % 2)
    def held_out(self):
        return Part(torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(1)), torch.arange(20) % 2)
def build(root):
    return Stripes()
"""
