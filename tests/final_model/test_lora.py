"""A model that was trained by LoRA is written as the plain network."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from safetensors import safe_open

from hpo.final_model import load_model, write_model
from hpo.record import StudyFolder
from tests.final_model.studies import searched
from trainables import vision

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("peft", "timm")), reason="peft and timm are extras"
    ),
]
NAME = "vit_tiny_patch16_224"


def test_the_updates_are_merged_into_the_weights_of_the_network_of_timm(root: Path, tmp_path: Path) -> None:
    """While a model is written, its answers are compared with those of the trained model with its adapters."""
    fixed = {"image_size": 32, "lora_targets": "all", "lora_alpha": 64}
    study = searched(tmp_path / "s", root, fixed=fixed, model=f"timm:{NAME}", regime="lora", weights="none")
    written = write_model(study, tmp_path / "m")
    assert load_model(tmp_path / "m", device="cpu").classes == ("cat", "dog")
    network = json.loads((tmp_path / "m" / "model.json").read_text())["network"]
    assert network["code"][-1] == f"model = timm.create_model({NAME!r}, num_classes=2, img_size=(32, 32))"
    with safe_open(written.folder / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(_plain_keys())
    best = StudyFolder.reopen(study).history()[0].ranked()[0].best
    assert best is not None
    assert f"validation accuracy {best.metrics['val_accuracy']:.4f}" in " ".join(written.lines)


def _plain_keys() -> list[str]:
    vision.torchvision()
    import timm

    return list(timm.create_model(NAME, num_classes=2, img_size=(32, 32)).state_dict())
