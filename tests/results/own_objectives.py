"""Objectives that are functions of the user, for studies whose predictions were kept."""

from __future__ import annotations

from torch import Tensor


def mistakes(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(dim=1) != labels).double().mean()


def gain(logits: Tensor, labels: Tensor) -> Tensor:
    """The error less the mean probability of the true class: it may be below 0."""
    true = logits.double().softmax(dim=1).gather(1, labels[:, None])
    return mistakes(logits, labels) - true.mean()


def size(logits: Tensor, labels: Tensor) -> Tensor:
    """It depends on more than the probabilities."""
    return logits.abs().mean() + 100


def picky(logits: Tensor, labels: Tensor) -> Tensor:
    if len(labels) < 60:
        raise ValueError("too few images")
    return mistakes(logits, labels)
