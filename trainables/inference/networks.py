"""The network of a trained model without its preprocessing, the plain code that builds it, and loading a program.

A network takes normalized images, float32 (n, channels, height, width), and returns logits (n, n_classes).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables import vision
from trainables.errors import SetupError, reason
from trainables.models import PlainNetwork
from trainables.trainable import TransferModel

TOLERANCE = 1e-4
"""The largest allowed difference between logits, relative to the largest logit if that is above 1."""


class StagesAndHead(nn.Module):
    """The network of a TransferModel: its stages and its head, without the normalization of images."""

    def __init__(self, model: TransferModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.model.head(self.model.run_stages(inputs, 0, len(self.model.stages)))
        return logits


def network_of(model: nn.Module) -> nn.Module:
    """Return the network of a model: of a TransferModel its stages and head, of any other module itself."""
    return StagesAndHead(model) if isinstance(model, TransferModel) else model


def build_plain(plain: PlainNetwork, state: dict[str, Tensor]) -> nn.Module:
    """Build a network by its plain code, and load the state dict of its TransferModel.

    Raises any error of the code, and RuntimeError or KeyError if the names of the weights do not fit.
    """
    if plain.package is not None:
        vision.torchvision()
    scope: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        exec(plain.code, scope)  # the code of a model's plug-in, never of a file
    network: nn.Module = scope["model"]
    network.load_state_dict(plain.to_plain(state))
    return network.eval()


def load_program(path: Path) -> nn.Module:
    """Load a program of torch.export. Raises SetupError if the file is missing or damaged."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        network: nn.Module = torch.export.load(path).module()
    except Exception as error:  # for a damaged file, torch.export raises errors of many types
        raise SetupError(f"{path}: cannot be read, write the model again: {reason(error)}") from error
    finally:
        logger.setLevel(level)
    return network


def difference(logits: Tensor, expected: Tensor) -> float:
    """Return the largest difference between logits, relative to the largest of `expected` if that is above 1.

    It is infinite if the shapes differ, or if a value is not finite.
    """
    if logits.shape != expected.shape or not logits.isfinite().all():
        return float("inf")
    return float((logits - expected).abs().max() / expected.abs().max().clamp(min=1))
