import argparse
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from trainables.errors import SetupError
from trainables.models import _weights, _weights_files

STATE = {"a": torch.arange(3.0)}


@pytest.mark.parametrize("name", ["some.PTH", "some.SafeTensors", "some.safetensors", "some", "some.pth.tar"])
@pytest.mark.parametrize("written", ["some.pth", "some.safetensors"])
def test_the_content_of_a_file_decides_its_format(written: str, name: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    _weights.save(STATE, tmp_path / "saved" / written)
    (tmp_path / "saved" / written).rename(tmp_path / name)
    assert _weights_files.read(tmp_path / name)["a"].tolist() == [0, 1, 2]


def test_a_suffix_in_capitals_saves_safetensors(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    _weights.save(STATE, tmp_path / "some.SAFETENSORS")
    assert (tmp_path / "some.SAFETENSORS").read_bytes()[8:9] == b"{"


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_are_read(zipped: bool, tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "some.pth", _use_new_zipfile_serialization=zipped)
    assert _weights_files.read(tmp_path / "some.pth")["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "value", [argparse.Namespace(lr=1), Path("a/b"), np.float64(0.5), np.float32(0.5), np.int64(3), np.bool_(True)]
)
def test_what_training_scripts_save_beside_the_weights_is_read(value: Any, tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "more": value}, tmp_path / "some.pth")
    assert _weights_files.read(tmp_path / "some.pth")["more"] == value


@pytest.mark.parametrize("value", [nn.Linear(2, 2), Fraction(1, 2)])
def test_a_file_that_needs_code_is_refused_with_the_classes_that_it_needs(value: object, tmp_path: Path) -> None:
    path = tmp_path / "some.ckpt"
    torch.save({"state_dict": STATE, "hyper_parameters": {"value": value}}, path)
    with pytest.raises(SetupError) as caught:
        _weights_files.read(path)
    start = f"`weights`: {path} holds more than tensors: save the state dict of the model alone (the file needs code: "
    assert str(caught.value).startswith(start)
    assert type(value).__name__ in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore:'torch.load':UserWarning")
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "some.pt")  # type: ignore[no-untyped-call]
    with pytest.raises(SetupError, match=r"some\.pt is a TorchScript program, .*: save the state dict of the model"):
        _weights_files.read(tmp_path / "some.pt")
