"""LoRA: the weights of attention layers stay frozen, and each gets a trained update of low rank.

The output of an adapted layer W x becomes W x + (alpha / rank) B A x, where A has `lora_rank` rows and B as many
columns. Only A, B and the head train (E. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022,
arXiv 2106.09685). The package peft computes it. A model folder holds the plain network, with the updates added to its
weights.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import torch
from torch import Tensor, nn

from trainables.data.dataset import SearchData
from trainables.errors import SetupError, WrongValue
from trainables.hyperparameters import ABOVE_0, FROM_0_BELOW_1, Config, read_choice, read_float, read_int
from trainables.models import _lora
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS = {
    "lora_rank": "rank of the update of each weight, a whole number of at least 1 and at most the smaller side of that "
    "weight; default 8",
    "lora_alpha": "the update is multiplied by lora_alpha / lora_rank, above 0; default 16",
    "lora_dropout": "dropout of the input of each update, 0 to below 1; default 0",
    "lora_targets": ["qkv", "qkv+proj", "all"],
}
MEANINGS = {
    "lora_targets": "linear layers with an update: queries, keys and values; all of the attention; all of the network",
}
RANGES = {"lora_rank": "int >= 1", "lora_alpha": "float > 0", "lora_dropout": "0 <= float < 1"}
READS_ALSO = ("trainables.training",)
PRETRAINED = True
"""A space must say which weights the model starts from."""
DATA_PARALLEL = True
"""Several devices can train one trial together."""

KEYS = ("lora_targets", "model", "regime")
"""The hyperparameters that decide which layers can be adapted."""
ATTENTION = re.compile("attn|attention", re.IGNORECASE)
"""Matches the name or the class of a module that computes attention."""
MLP = re.compile("mlp|ffn", re.IGNORECASE)
"""Matches the name of a layer that is no part of an attention, although a block with an attention holds it."""
QKV = re.compile("(to_|w)?(q|k|v|qk|kv|qkv|query|key|value)(_?proj)?")
"""Matches the name of a layer that computes queries, keys or values."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training of the head and of the LoRA adapters of the layers that `lora_targets` names.

    A stage without adapters is frozen. Raises ValueError for a wrong value in `config`, also for a rank that is larger
    than the smaller side of a weight, and so than any rank of it; the message names the key.
    Raises SetupError if the model has no attention, if its layers cannot be adapted, or if peft is not installed.
    """
    settings = _lora.Settings(
        read_int(config, "lora_rank", 8),
        read_float(config, "lora_alpha", 16.0, ABOVE_0),
        read_float(config, "lora_dropout", 0.0, FROM_0_BELOW_1),
    )
    targets = read_choice(config, "lora_targets", "qkv", ("qkv", "qkv+proj", "all"))
    layers = target_layers(model, targets)
    if config.get("lora_rank") is not None:  # the default is for networks of usual width
        _check_rank(model, layers, settings.rank)
    _check_called(model, layers, data.train.batch(slice(1)))
    model.train_only(_lora.add(model, layers, settings))
    return gradient_descent.build(config, model, data, device)


def target_layers(model: TransferModel, targets: str) -> list[str]:
    """Return the names of the linear layers of the stages that `targets` (qkv, qkv+proj or all) stands for.

    They are names of `model.stages.named_modules()`. Raises SetupError if the model has no attention with linear
    layers, or if none of them is a target.
    """
    modules = dict(model.stages.named_modules())
    attention = tuple(f"{name}." for name, module in modules.items() if _is_attention(name, module))
    linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    in_attention = [name for name in linear if name.startswith(attention) and not MLP.search(name)]
    if not in_attention:
        raise SetupError(
            "lora adapts the linear layers of an attention, and this model has none: name a vision transformer, such "
            "as timm:vit_small_patch16_224, or another regime",
            keys=KEYS,
        )
    if targets == "all":
        return linear
    if targets == "qkv+proj":
        return in_attention
    found = [name for name in in_attention if any(QKV.fullmatch(each) for each in name.split("."))]
    if not found:
        layers = ", ".join(sorted({name.rpartition(".")[2] for name in in_attention}))
        raise SetupError(
            "`lora_targets`: the attention of this model has no layer that is named as one of queries, keys or values, "
            f"but {layers}: use qkv+proj",
            keys=KEYS,
        )
    return found


def _is_attention(name: str, module: nn.Module) -> bool:
    return bool(ATTENTION.search(name.rpartition(".")[2]) or ATTENTION.search(type(module).__name__))


def _check_rank(model: TransferModel, layers: Collection[str], rank: int) -> None:
    """Raise WrongValue if `rank` is above the smaller side of the weight of one of `layers`."""
    modules = {name: model.stages.get_submodule(name) for name in layers}
    sides = {
        name: min(module.in_features, module.out_features)
        for name, module in modules.items()
        if isinstance(module, nn.Linear)
    }
    name = min(sides, key=lambda each: sides[each])
    if rank > sides[name]:
        raise WrongValue(
            f"`lora_rank` must be at most {sides[name]}, the smaller side of the weight of {name}, but is {rank}"
        )


def _check_called(model: TransferModel, layers: Collection[str], image: Tensor) -> None:
    """Raise SetupError if one of `layers` is not called for an image (1, channels, height, width).

    Some networks use the weights of a layer without calling it. An adapter of such a layer would have no effect.
    """
    called: set[str] = set()
    hooks = [
        model.stages.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name))
        for name in layers
    ]
    try:
        with model.in_evaluation(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            model.features(image.to(model.mean.device))
    finally:
        for hook in hooks:
            hook.remove()
    if missed := next((name for name in layers if name not in called), None):
        raise SetupError(
            f"`lora_targets`: the layer {missed} cannot be adapted, because the model uses its weights without calling "
            "it: use other targets or another model",
            keys=KEYS,
        )
