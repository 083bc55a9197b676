"""A written model gives the same answers by every way to use it: its README, hpo, onnxruntime and torch.export."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import hpo
from hpo.final_model import ModelOptions, write_model
from hpo.heldout import evaluate
from hpo.loop import begin
from hpo.record import Budget, Settings
from hpo.space import DatasetSpec, Fidelity, Task
from tests.final_model.studies import held_out_files, searched
from tests.heldout import zoo
from tests.trainables.inference import final_models, readme_lines
from trainables.inference import exports, networks, predictor

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
MOST_IMAGES = 60
"""By each way to use a model, this many held-out images are classified: evenly spaced, so of every class."""
HAS_ONNX = all(importlib.util.find_spec(name) is not None for name in exports.ONNX_PACKAGES)


def all_logits(model: Path, paths: list[Path]) -> Mapping[str, Tensor]:
    """The logits of images by each way to use a model folder."""
    found = final_models.load(model)
    images = torch.from_numpy(np.stack([predictor.read_pixels(path, found.description.image) for path in paths]))
    logits = {
        "the lines of the README": torch.tensor(readme_lines.run([model], paths)[model.name]),
        "hpo": found.logits(paths)[0],
        "torch.export": exports.run_program(model / "model.pt2", images),
    }
    return logits | ({"onnxruntime": exports.run_onnx(model / "model.onnx", images)} if HAS_ONNX else {})


def assert_same_answers(study: Path, model: Path) -> None:
    """Test a study, write its model, and compare its answers on held-out images with each other and the test."""
    evaluate(study)
    write_model(study, model, ModelOptions(formats=("torch", "onnx") if HAS_ONNX else ("torch",)))
    paths, labels = held_out_files(study)
    some = slice(None, None, math.ceil(len(paths) / MOST_IMAGES))
    classes = json.loads((model / "model.json").read_text())["classes"]
    loaded = hpo.load_model(model, device="cpu")
    tested = json.loads((study / "test.json").read_text())["results"][0]["test_accuracy"]["values"][0]
    predicted = loaded.predict(paths)
    assert float((predicted["class"] == labels).mean()) == pytest.approx(tested, abs=1e-9)
    logits = all_logits(model, paths[some])
    expected = logits["hpo"]
    assert expected.std() > 0
    for name, found in logits.items():
        assert networks.difference(found, expected) < TOLERANCE, name
        assert [classes[i] for i in found.argmax(dim=1)] == list(predicted["class"][some]), name


@pytest.mark.long
def test_a_model_of_real_cartoons_gives_the_same_answers_everywhere(tmp_path: Path) -> None:
    data = Path(os.environ.get("HPO_DATA", tmp_path))
    if not (data / "pacs/cartoon").exists() or not list((data / "weights").glob("resnet18*")):
        pytest.skip("HPO_DATA has no pacs/cartoon, or no weights of resnet18")
    task = Task("linear_probe", "resnet18", dataset=DatasetSpec("pacs", {"domain": "cartoon"}))
    space = replace(zoo.space(), name="cartoons", task=task, fidelity=Fidelity(3), fixed={"image_size": 32})
    settings = Settings(backend="grid", runner="inline", devices="cpu", data=str(data))
    begin(tmp_path / "s", space, settings, Budget(trials=2))
    assert_same_answers(tmp_path / "s", tmp_path / "m")


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet"])
def test_networks_of_timm_give_the_same_answers_everywhere(root: Path, tmp_path: Path, name: str) -> None:
    study = searched(tmp_path / "s", root, fixed={"image_size": 32}, model=f"timm:{name}")
    assert_same_answers(study, tmp_path / "m")
