"""How often the Builder checks that a model fits its data set."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import TaskError
from hpo.training.builder import Builder
from tests.training.test_tasks import TASK, job

COUNTED = """
from torch import nn
from trainables.trainable import TransferModel
HYPERPARAMETERS = {"size": "of the head"}
SEEN = []
class Counted(nn.Flatten):
    def forward(self, x):
        SEEN.append(len(x))
        return super().forward(x)
def build(config, *, shape, n_classes, weights):
    return TransferModel({"stage": nn.Sequential(Counted(), nn.Linear(64, 8))}, nn.Linear(8, config["size"]))
"""


def test_an_image_goes_through_each_form_of_a_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / f"counted_{tmp_path.name}"
    folder.mkdir()
    (folder / "model.py").write_text(COUNTED)
    name = f"{folder.name}.model"
    builder = Builder(job(replace(TASK, model=name)), "cpu")
    for rate in (0.01, 0.1, 1.0):
        builder.build({"lr": rate, "batch_size": 64, "size": 10}, seed=0)
    seen = importlib.import_module(name).SEEN
    assert seen == [1]
    builder.build({"lr": 0.01, "batch_size": 32, "size": 10}, seed=0)  # it may be read without being declared
    assert seen == [1, 1]
    for _ in range(2):
        with pytest.raises(TaskError, match="gives 7 numbers an image"):
            builder.build({"lr": 0.01, "batch_size": 64, "size": 7}, seed=0)
    assert seen == [1, 1, 1, 1]


LATE = """
from torch import nn
from trainables.trainable import TransferModel
HYPERPARAMETERS = {}
class Late(nn.Module):
    def forward(self, x):
        if not hasattr(self, "inner"):
            self.inner = nn.Linear(x.shape[1], 8)
        return self.inner(x)
def build(config, *, shape, n_classes, weights):
    return TransferModel({"stage": nn.Sequential(nn.Flatten(), Late())}, nn.Linear(8, n_classes))
"""


def test_what_gets_its_weights_from_the_first_image_gets_them_in_every_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / f"late_{tmp_path.name}"
    folder.mkdir()
    (folder / "model.py").write_text(LATE)
    builder = Builder(job(replace(TASK, model=f"{folder.name}.model")), "cpu")
    for _ in range(3):
        made: Any = builder.build({"lr": 0.01, "batch_size": 64}, seed=0)
        assert sum(each.numel() for each in made.model.parameters()) == 65 * 8 + 9 * 10
