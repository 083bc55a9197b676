"""BitFit: only biases, normalization layers and the head train.

E. Ben Zaken, S. Goldberg and Y. Ravfogel, BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked
Language-models, ACL 2022, arXiv 2106.10199. They train the biases and the new head. Here the scale factors of the
normalization layers train as well, as is usual for image networks.
"""

from __future__ import annotations

import re

from torch import nn

from trainables.data.dataset import SearchData
from trainables.errors import SetupError
from trainables.hyperparameters import Config
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training",)
PRETRAINED = True
"""A space must say which weights the model starts from."""
DATA_PARALLEL = True
"""Several devices can train one trial together."""

NORM = re.compile("Norm(?![a-z])")
"""Matches the name of a normalization class, such as BatchNorm2d or RmsNorm, but not NormalizedLinear."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training of the head, and of the biases and normalization layers of all stages.

    Raises ValueError for a wrong value in `config`; the message names the key. Raises SetupError if no stage has a bias
    or a normalization layer.
    """
    weights = biases_and_norms(model)
    if not weights:
        raise SetupError(
            "bitfit trains the biases and normalization layers before the head, and this model has none: name the "
            "regime linear_probe",
            keys=("model", "regime"),
        )
    model.train_only(weights)
    return gradient_descent.build(config, model, data, device)


def biases_and_norms(model: TransferModel) -> list[str]:
    """Return the names of the biases of all stages, and of all weights of their normalization layers.

    A bias is a vector whose name ends with "bias". So tables of relative position biases are left out.
    """
    return [
        f"stages.{prefix}.{name}"
        for prefix, module in model.stages.named_modules()
        for name, weight in module.named_parameters(recurse=False)
        if _is_norm(module) or (name.endswith("bias") and weight.ndim == 1)
    ]


def _is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalization layer. The classes of torch and timm have no other mark than their names."""
    return any(NORM.search(each.__name__) for each in type(module).__mro__)
