"""The training loss: cross-entropy with label smoothing, and an explicit L2 term."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import WrongValue
from trainables.hyperparameters import AT_LEAST_0, FROM_0_BELOW_1, Config, choice, real
from trainables.trainable import HEAD, TransferModel

HYPERPARAMETERS = {
    "label_smoothing": "share of each target that is spread evenly over all classes, 0 to below 1; default 0",
    "l2": "factor on the sum of the squares of weights, which is added to the training loss, at least 0; default 0",
    "l2_on": "the part whose weights are summed: head (default), all, or the name of a stage",
}


@dataclass(frozen=True, eq=False)
class Loss:
    """What a training minimises: `loss.of(logits, targets)`, plus `loss.penalty()` where that is not None.

    It belongs to training alone: validation is measured by the plain cross-entropy.
    """

    label_smoothing: float = 0.0
    l2: float = 0.0
    weights: tuple[nn.Parameter, ...] = ()
    """The weights, live, whose squares are summed."""

    def of(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy in nats of logits (n, classes) and targets: int64 (n,) or shares (n, classes)."""
        return functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)

    def penalty(self) -> Tensor | None:
        """The L2 term, a scalar: `l2` times the sum of squares, without a factor 1/2; None where `l2` is 0."""
        if not self.l2:
            return None
        return self.l2 * torch.stack([weight.square().sum() for weight in self.weights]).sum()


def build(config: Config, model: TransferModel) -> Loss:
    """The loss that `config` describes for what trains in `model`: call it after freezing, and again after the next.

    The L2 term is over the head, or over what `l2_on` names; of that, the weights that train and
    have more than one dimension, which leaves out biases and the factors of BatchNorm. A ValueError
    names a wrong value and its key, or says that `l2_on` leaves nothing to sum.
    """
    label_smoothing = real(config, "label_smoothing", 0.0, FROM_0_BELOW_1)
    l2 = real(config, "l2", 0.0, AT_LEAST_0)
    on = choice(config, "l2_on", "head", (HEAD, "all", *model.stages))
    if not l2:
        return Loss(label_smoothing)
    part = {HEAD: model.head, "all": model, **dict(model.stages.items())}[on]
    weights = tuple(weight for weight in part.parameters() if weight.requires_grad and weight.ndim > 1)
    if not weights:
        raise WrongValue(f"`l2_on` must name a part with weights that train, where `l2` is above 0, but is {on!r}")
    return Loss(label_smoothing, l2, weights)
