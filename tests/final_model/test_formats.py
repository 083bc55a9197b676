"""Writing a model in further formats."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from hpo.errors import UserError
from hpo.final_model import ModelOptions, write_model
from hpo.heldout import evaluate
from tests.final_model.studies import described


def test_further_formats_are_written_beside_the_weights(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    write_model(study, tmp_path / "m", ModelOptions(formats=["torch", "torch"]))
    assert "## torch.export" in (tmp_path / "m" / "README.md").read_text()
    program = torch.export.load(tmp_path / "m" / "model.pt2").module()
    height = described(tmp_path / "m")["image"]["height"]
    logits, probabilities = program(torch.zeros(3, 3, height, height, dtype=torch.uint8))
    assert logits.shape == probabilities.shape == (3, 2)


def test_a_format_that_cannot_be_written_is_named_before_anything_is_trained(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="unknown format 'onx'; did you mean 'onnx'"):
        write_model(study, tmp_path / "m", ModelOptions(formats=["onx"]))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"the format onnx needs onnxruntime: pip install 'hpo\[onnx\]'"):
        write_model(study, tmp_path / "m", ModelOptions(formats=["onnx"]))
    assert not (tmp_path / "m").exists()
