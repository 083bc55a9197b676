"""A metric by which all models are as good as each other, so that each joins a soup."""

from torch import Tensor


def cost(logits: Tensor, labels: Tensor) -> float:
    return 1.0
