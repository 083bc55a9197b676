"""The plain code of a network of torch's own layers."""

from __future__ import annotations

import pytest
from torch import nn

from trainables.models._plain import layers
from trainables.trainable import TransferModel


def model(layer: nn.Module) -> TransferModel:
    return TransferModel({"only": nn.Sequential(layer)}, nn.Flatten())


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        (nn.Conv2d(3, 4, 3), "nn.Conv2d(3, 4, kernel_size=3)"),
        (nn.Conv2d(3, 4, (3, 5), bias=False), "nn.Conv2d(3, 4, kernel_size=(3, 5), bias=False)"),
        (nn.MaxPool2d(2), "nn.MaxPool2d(kernel_size=2, stride=2)"),
        (nn.GELU("tanh"), "nn.GELU(approximate='tanh')"),
        (nn.LeakyReLU(0.2), "nn.LeakyReLU(negative_slope=0.2)"),
    ],
)
def test_the_code_of_a_layer_builds_a_layer_with_the_same_repr(layer: nn.Module, code: str) -> None:
    found = layers(model(layer))
    assert found is not None
    assert f"    {code},\n" in found.code
    scope: dict[str, nn.Sequential] = {}
    exec(found.code, scope)
    assert repr(scope["model"][0]) == repr(layer)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.TransformerEncoderLayer(8, 2),
        type("Own", (nn.ReLU,), {})(),
    ],
)
def test_a_layer_whose_repr_is_not_its_code_has_no_plain_network(layer: nn.Module) -> None:
    assert layers(model(layer)) is None
