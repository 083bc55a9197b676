"""Class weights: factors of the loss by which images of rare classes count more in training."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.hyperparameters import FROM_0_BELOW_1, Config, read_choice, read_float

HYPERPARAMETERS = {
    "class_weights": ["none", "balanced", "effective"],
    "class_weights_beta": "effective: 0 to below 1; 0 weighs all classes alike, near 1 is as balanced; default 0.999",
}
MEANINGS = {"class_weights": "weights of the classes in the training loss"}
RANGES = {"class_weights_beta": "0 <= float < 1"}
WHEN = {"class_weights_beta": {"class_weights": ["effective"]}}


def build(config: Config, labels: Tensor, n_classes: int) -> Tensor | None:
    """Return the weight of each class in the training loss, float32 (n_classes,), or None if all weigh alike.

    `labels` are those of the part that is trained on, int64 (n,). The weights lie on their device. A class without an
    image has weight 0. A WrongValue if a value in `config` is not allowed.
    """
    kind = read_choice(config, "class_weights", "none", ("none", "balanced", "effective"))
    beta = read_float(config, "class_weights_beta", 0.999, FROM_0_BELOW_1)
    if kind == "none":
        return None
    counts = torch.bincount(labels.cpu(), minlength=n_classes)
    weights = balanced(counts) if kind == "balanced" else effective(counts, beta)
    return weights.to(labels.device, torch.float32)


def balanced(counts: Tensor) -> Tensor:
    """Return n / (n_classes * count) for each class, float64 (n_classes,), from the number of images of each class.

    n is the number of images, and n_classes counts the classes with images. These are the weights of scikit-learn's
    `class_weight="balanced"`. The mean weight of an image is 1.
    """
    return torch.where(counts > 0, counts.sum() / ((counts > 0).sum() * counts.clamp(min=1).double()), 0.0)


def effective(counts: Tensor, beta: float) -> Tensor:
    """Return weights by the effective number of images, float64 (n_classes,), from the number of images of each class.

    The weight of a class is proportional to (1 - beta) / (1 - beta ** count). The weights sum to the number of classes
    with images. Source: Y. Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, arXiv
    1901.05555.
    """
    # (1 - beta) is left out, because it is the same for all classes.
    weights = torch.where(counts > 0, 1 / (1 - beta ** counts.clamp(min=1).double()), 0.0)
    return weights * (counts > 0).sum() / weights.sum()
