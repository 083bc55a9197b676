import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.errors import SetupError
from trainables.models import _state_dicts

SHAPES = {"conv.weight": torch.Size([2, 3]), "norm.bias": torch.Size([3]), "norm.mean": torch.Size([3])}
PATH = Path("some.pth")


def state(value: float, prefix: str = "") -> dict[str, Tensor]:
    """A state dict for `SHAPES`, filled with one number."""
    return {prefix + key: torch.full(shape, value) for key, shape in SHAPES.items()}


def found(content: object) -> tuple[float, tuple[str, ...]]:
    """The number in the state dict that was found, and what was done to find it."""
    tensors, changes = _state_dicts.find(content, SHAPES, PATH)
    assert {key: value.shape for key, value in tensors.items()} == SHAPES
    return float(tensors["norm.bias"][0]), changes


def test_a_plain_state_dict_is_taken_as_it_is() -> None:
    assert found(state(1)) == (1, ())


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"state_dict": state(1), "epoch": 3}, "state_dict"),
        ({"model": state(1), "optimizer": {"state": {"norm.bias": torch.ones(3)}}}, "model"),
        ({"net": state(1), "acc": 0.5, "epoch": 3}, "net"),
        ({"pytorch-lightning_version": "2.0", "hyper_parameters": {"lr": 1.0}, "state_dict": state(1)}, "state_dict"),
        ({"a": {"b": {"c": state(1)}}}, "a.b.c"),
        ({"weights": state(1), "scale": torch.ones(1)}, "weights"),
    ],
)
def test_the_entry_that_holds_the_weights_is_found(content: dict[str, Any], name: str) -> None:
    value, (change, *more) = found(content)
    assert value == 1
    assert change == f"the weights are its entry {name!r}" or change.startswith(f"the weights are its entry {name!r} (")
    assert not more


@pytest.mark.parametrize("name", ["state_dict_ema", "model_ema", "ema_state_dict", "ema", "EMA"])
def test_averaged_weights_are_preferred(name: str) -> None:
    for content in ({"state_dict": state(1), name: state(2)}, {name: state(2), "model": state(1)}):
        value, (change,) = found(content)
        assert value == 2
        assert change.startswith(f"the weights are its entry {name!r} (and not '")


def test_averaged_weights_that_lack_tensors_are_not_preferred() -> None:
    assert found({"model": state(1), "model_ema": {"conv.weight": torch.zeros(2, 3)}})[0] == 1


def test_an_entry_is_chosen_by_what_fits_and_not_by_its_name() -> None:
    other = {"state_dict": {"conv.weight": torch.ones(9, 9), "norm.bias": torch.ones(9), "norm.mean": torch.ones(9)}}
    assert found({**other, "extra": state(1)})[0] == 1


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "model.",
        "_orig_mod.",
        "backbone.",
        "net.",
        "module._orig_mod.",
        "_orig_mod.model.backbone.",
        "any.1.",
    ],
)
def test_a_prefix_in_front_of_the_keys_is_removed(prefix: str) -> None:
    assert found(state(1, prefix)) == (1, (f"the prefix {prefix!r} of their keys is removed",))


def test_tensors_without_the_prefix_are_left_out() -> None:
    value, changes = found({"state_dict": state(1, "backbone.") | {"loss.weight": torch.ones(1)}})
    assert value == 1
    assert changes[1:] == ("the prefix 'backbone.' of their keys is removed", "1 tensor without this prefix left out")


def test_of_two_prefixes_the_averaged_one_is_taken() -> None:
    assert found(state(1, "model.") | state(2, "ema_model.") | state(3, "model_2."))[0] == 2


def test_names_of_wrappers_inside_keys_are_removed() -> None:
    inner = {key.replace("norm.", "norm._orig_mod."): value for key, value in state(1).items()}
    assert found(inner) == (1, ("the names of wrappers inside their keys are removed",))


def test_a_network_whose_own_keys_begin_like_a_prefix_keeps_them() -> None:
    shapes = {f"module.{key}": shape for key, shape in SHAPES.items()}
    assert _state_dicts.find(state(1, "module."), shapes, PATH).changes == ()


def test_a_prefix_that_few_keys_have_is_not_removed() -> None:
    other = {f"layer.{key}": torch.ones(3) for key in ("norm.bias", "a", "b", "c", "d")}
    assert _state_dicts.find(other, SHAPES, PATH).tensors.keys() == other.keys()


def test_two_state_dicts_that_fit_equally_well_are_refused() -> None:
    both = {"student": state(1, "backbone."), "teacher": state(2, "backbone.")}
    words = (
        "`weights`: some.pth holds two state dicts that fit, 'student: backbone.' and 'teacher: backbone.': save one"
    )
    with pytest.raises(SetupError, match=re.escape(words)):
        _state_dicts.find(both, SHAPES, PATH)


def test_a_file_without_named_tensors_is_refused() -> None:
    for content in ([torch.ones(1)], {"model": {"epoch": 1}}, {1: torch.ones(1)}, None):
        with pytest.raises(SetupError, match=r"`weights`: some\.pth holds no state dict, but .* without named tensors"):
            _state_dicts.find(content, SHAPES, PATH)
