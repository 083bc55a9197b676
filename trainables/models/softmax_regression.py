"""Softmax regression (ground floor of training): one linear layer on the pixels, the least of classifiers."""

from __future__ import annotations

from math import prod

from torch import nn

from trainables.hyperparameters import Config
from trainables.trainable import TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """A linear classifier of images of `shape` (channels, height, width); it reads no hyperparameter.

    A ValueError where `weights` are asked for: there are none.
    """
    if weights != "none":
        raise ValueError(f"softmax_regression has no pretrained weights: `weights` must be none, but is {weights!r}")
    return TransferModel({"flatten": nn.Flatten()}, nn.Linear(prod(shape), n_classes))
