import importlib.util
from typing import Any

import pytest
import torch
from torch import nn

from trainables.models import _lora
from trainables.trainable import TransferModel

pytestmark = [
    pytest.mark.slow,  # the import of peft takes seconds
    pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is an extra"),
]
SETTINGS = _lora.Settings(rank=2, alpha=3.0, dropout=0.5)
INPUTS = torch.linspace(-1, 1, 5 * 6).reshape(5, 6, 1, 1)


def model() -> TransferModel:
    """A model of three linear layers, with an adapter for two of them, all of whose weights are random."""
    torch.manual_seed(0)
    found = TransferModel(
        {"a": nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Tanh()), "b": nn.Linear(4, 4)}, nn.Linear(4, 3)
    )
    assert _lora.add(found, ["a.1", "b"], SETTINGS) == [
        *("stages.a.1.lora_A.default.weight", "stages.a.1.lora_B.default.weight"),
        *("stages.b.lora_A.default.weight", "stages.b.lora_B.default.weight"),
    ]
    for weight in found.parameters():
        nn.init.normal_(weight)
    return found.eval()


def test_an_adapter_adds_its_update_of_low_rank_times_alpha_over_rank() -> None:
    found = model()
    update = found.get_parameter("stages.b.lora_B.default.weight") @ found.get_parameter(
        "stages.b.lora_A.default.weight"
    )
    before = found.run_stages(INPUTS, 0, 1)
    layer: Any = found.stages["b"]
    torch.testing.assert_close(layer(before), layer.get_base_layer()(before) + before @ update.T * 3.0 / 2)


def test_an_adapter_has_the_layer_number_of_its_layer() -> None:
    stages = {"a": nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Linear(4, 4)), "b": nn.Linear(4, 4)}
    layers = {"stages.a.1.weight": 0, "stages.a.2.weight": 1, "stages.b.weight": 2, "head": 3}
    found = TransferModel(stages, nn.Linear(4, 3), layers=layers)
    adapters = _lora.add(found, ["a.1", "a.2", "b"], SETTINGS)
    numbers = found.layer_numbers()
    assert [numbers[name] for name in adapters] == [0, 0, 1, 1, 2, 2]
    _lora.merge(found)
    assert {name: number for name, number in found.layer_numbers().items() if name in layers} == {
        name: number for name, number in layers.items() if name != "head"
    }


def test_a_merged_model_has_the_layers_and_names_of_the_plain_one_and_computes_the_same() -> None:
    found = model()
    expected = found(INPUTS)
    _lora.merge(found)
    torch.testing.assert_close(found(INPUTS), expected)
    assert type(found.stages["b"]) is nn.Linear
    assert set(found.state_dict()) == {
        f"{layer}.{name}" for layer in ("stages.a.1", "stages.b", "head") for name in ("weight", "bias")
    }


def test_a_model_without_adapters_stays_as_it_is() -> None:
    found = TransferModel({"a": nn.Flatten()}, nn.Linear(6, 3))
    before = {key: value.clone() for key, value in found.state_dict().items()}
    _lora.merge(found)
    assert found.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in found.state_dict().items())
