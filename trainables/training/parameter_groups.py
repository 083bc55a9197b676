"""Parameter groups: the learning rate and the weight decay of each parameter.

With `layer_decay`, learning rates fall with the distance from the head (H. Bao et al., BEiT: BERT Pre-Training of Image
Transformers, ICLR 2022, arXiv 2106.08254). The layers are those of `TransferModel.layer_numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatch
from typing import Any

from torch import nn

from trainables.hyperparameters import ABOVE_0, ABOVE_0_TO_1, Config, read_bool, read_float
from trainables.trainable import HEAD, TransferModel

HYPERPARAMETERS = {
    "head_lr": "factor on the learning rate of the head, above 0; default 1",
    "layer_decay": "factor on the learning rate from each layer to the one before it, above 0 to 1; the head is the "
    "last layer; default 1",
    "decay_norms": [True, False],
}
MEANINGS = {"decay_norms": "whether weight decay applies to norms, biases and position embeddings, too"}
RANGES = {"head_lr": "float > 0", "layer_decay": "0 < float <= 1"}

POSITIONS = re.compile(r"pos(ition)?_?embed|relative_position_bias_table")
"""Found in the names of position embeddings."""


def build(
    config: Config, model: TransferModel, lr: float, *, apart: Sequence[Collection[str]] = ()
) -> list[nn.Parameter] | list[dict[str, Any]]:
    """Return the parameters of `model` that train, in groups for an optimizer.

    `lr` is the learning rate that the factors apply to. Stages in different elements of `apart`, which may name the
    head, have different groups. If all parameters train alike, they are returned without groups.

    Frozen parts do not change the layer numbers of the others, so the rates are the same whatever is frozen. Raises
    ValueError for a wrong value in `config`; the message names the key.
    """
    head_lr = read_float(config, "head_lr", 1.0, ABOVE_0)
    layer_decay = read_float(config, "layer_decay", 1.0, ABOVE_0_TO_1)
    undecayed = set() if read_bool(config, "decay_norms", True) else _undecayed(model)
    layers = model.layer_numbers()
    last = max(layers.values())
    groups: dict[tuple[float, bool, int], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = HEAD if name.startswith(f"{HEAD}.") else name.split(".")[1]
            factor = layer_decay ** (last - layers[name]) * (head_lr if part == HEAD else 1.0)
            place = next((i for i, names in enumerate(apart) if part in names), 0)
            groups.setdefault((factor, name not in undecayed, place), []).append(parameter)
    if list(groups) == [(1.0, True, 0)]:
        return groups[1.0, True, 0]
    return [
        {"params": parameters, "lr": lr * factor, **({} if decays else {"weight_decay": 0.0})}
        for (factor, decays, _), parameters in groups.items()
    ]


def _undecayed(model: TransferModel) -> set[str]:
    """Return the names of the parameters without weight decay: norms, biases, position embeddings, and declared ones.

    A stage declares names by a method `no_weight_decay`, as networks of timm do. They may have wildcards.
    """
    patterns = set(model.undecayed)
    for stage_name, stage in model.stages.items():
        if callable(declared := getattr(stage, "no_weight_decay", None)):
            patterns |= {f"stages.{stage_name}.{pattern}" for pattern in declared()}
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim <= 1
        or name.endswith(".bias")
        or POSITIONS.search(name.rpartition(".")[2])
        or any(fnmatch(name, pattern) for pattern in patterns)
    }
