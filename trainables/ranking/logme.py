"""LogME: the evidence of a Bayesian linear regression of the labels on the features.

K. You et al.: LogME: Practical Assessment of Pre-trained Models for Transfer Learning, ICML 2021. The iteration for the
two precisions is the fixed point of K. You et al.: Ranking and Tuning Pre-trained Models, JMLR 23, 2022.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from trainables.training.closed_form import Inputs

MAX_ITERATIONS = 100
TOLERANCE = 1e-6
"""The relative change of the ratio of the precisions at which the iteration ends."""


def logme(inputs: Inputs, labels: Tensor, n_classes: int) -> float:
    """Return the LogME of the features of n images with `labels` (n,): higher is better.

    For each class, the targets are 1 for its images and 0 for the others. They are a linear function of the features,
    whose weights have the precision alpha, plus noise of the precision beta. LogME is the mean over the classes of the
    logarithm of the evidence per image, at the alpha and beta that maximise it.
    """
    width = inputs.width
    gram = torch.zeros(width, width, dtype=torch.float64, device=labels.device)
    products = torch.zeros(width, n_classes, dtype=torch.float64, device=labels.device)
    for index in inputs.slices():
        features = inputs.vectors(index)
        gram.addmm_(features.T, features)
        products.addmm_(features.T, functional.one_hot(labels[index], n_classes).double())
    squares, axes = torch.linalg.eigh(gram)
    is_used = squares > squares.max() * max(len(inputs), width) * torch.finfo(torch.float64).eps
    squares = squares[is_used]
    along = (axes.T @ products)[is_used].square() / squares[:, None]
    counts = torch.bincount(labels, minlength=n_classes).tolist()
    each = [
        _evidence(squares, along[:, label], float(count), len(inputs), width)
        for label, count in enumerate(counts)
        if count
    ]
    return sum(each) / len(each) / len(inputs)


def _evidence(squares: Tensor, along: Tensor, norm: float, n: int, width: int) -> float:
    """Return the logarithm of the largest evidence of targets with the squared norm `norm`.

    `squares` (r,) are the squares of the singular values of the features, and `along` (r,) those of the targets along
    the left singular vectors. The fixed point is that of the ratio alpha / beta.
    """
    outside = max(norm - float(along.sum()), 0.0)  # of the targets: what no weights explain
    ratio = 1.0
    for _ in range(MAX_ITERATIONS):
        gamma, weights, residual = _terms(squares, along, ratio, outside)
        new = gamma / max(n - gamma, 1e-12) * residual / max(weights, 1e-300)
        is_done = abs(new - ratio) <= TOLERANCE * ratio
        ratio = max(new, 1e-12)
        if is_done:
            break
    gamma, weights, residual = _terms(squares, along, ratio, outside)
    # The best beta for this ratio makes beta * residual + alpha * weights equal to n.
    beta = n / max(residual + ratio * weights, 1e-300)
    alpha = ratio * beta
    determinant = float((alpha + beta * squares).log().sum()) + (width - len(squares)) * math.log(alpha)
    return (width * math.log(alpha) + n * math.log(beta / (2 * math.pi)) - n - determinant) / 2


def _terms(squares: Tensor, along: Tensor, ratio: float, outside: float) -> tuple[float, float, float]:
    """Return the effective number of weights, the squared norm of their mean, and the squared residual."""
    denominators = squares + ratio
    gamma = float((squares / denominators).sum())
    weights = float((squares * along / denominators.square()).sum())
    return gamma, weights, outside + float((along * (ratio / denominators).square()).sum())
