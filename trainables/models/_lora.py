"""Adapters for LoRA, by the package peft: adding them to the stages of a model, and merging them into its weights."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from trainables import vision
from trainables.errors import SetupError
from trainables.trainable import TransferModel


class Settings(NamedTuple):
    """The settings of the adapters."""

    rank: int
    """The number of rows of A, and of columns of B."""
    alpha: float
    """The output of the adapter is multiplied by `alpha` / `rank`."""
    dropout: float
    """The probability with which an input of the adapter is set to 0 in training."""


def add(model: TransferModel, layers: Sequence[str], settings: Settings) -> list[str]:
    """Add an adapter to each of `layers`, which are linear layers of the stages.

    Their names are those of `model.stages.named_modules()`. An adapter adds B A x to the output of its layer. A is
    drawn from torch's global generator, and B is 0, so that the output is the same at first. An adapter has the layer
    number of its layer (`TransferModel.layer_numbers`).

    Returns the names of the weights of the adapters, as in `model.named_parameters()`. `model.train_only` takes them,
    and also sets the mode of the adapters. Raises SetupError if peft is not installed.
    """
    peft = _peft()
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=list(layers)
    )
    numbers = model.layer_numbers()
    peft.inject_adapter_in_model(config, model.stages)
    if model.layers is not None:
        model.layers = {**model.layers, **_numbers_of_adapters(model, layers, numbers)}
    return [f"stages.{name}" for name, weight in model.stages.named_parameters() if weight.requires_grad]


def _numbers_of_adapters(model: TransferModel, layers: Sequence[str], numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the layer number of each weight of `layers`, which have adapters now. `numbers` are those of before."""
    return {
        f"stages.{layer}.{name}": numbers[f"stages.{layer}.weight"]
        for layer in layers
        if f"stages.{layer}.weight" in numbers  # a layer that shares its weight with another may have no name for it
        for name, _ in model.stages.get_submodule(layer).named_parameters()
    }


def merge(model: nn.Module) -> None:
    """Merge all adapters of a model into the weights of their layers, and remove them.

    The model computes the same as before, up to rounding. A model without adapters does not change.
    """
    if "peft" not in sys.modules:  # then no model has adapters, and the import takes seconds
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            model.set_submodule(name, module.get_base_layer())


def _peft() -> Any:
    # peft imports torchvision. This makes that import work even if torchvision's C++ library does not load.
    vision.torchvision()
    try:
        import peft
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise SetupError("`regime`: lora needs the package peft: pip install 'hpo[lora]'") from error
    return peft
