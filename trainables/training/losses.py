"""The training loss: cross-entropy with label smoothing, and an explicit L2 penalty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import WrongValue
from trainables.hyperparameters import AT_LEAST_0, FROM_0_BELOW_1, Config, read_choice, read_float
from trainables.trainable import HEAD, TransferModel

HYPERPARAMETERS = {
    "label_smoothing": "share of each target that is spread evenly over all classes, 0 to below 1; default 0",
    "l2": "factor on the sum of the squares of weights, which is added to the training loss, at least 0; default 0",
    "l2_on": "the part whose weights are summed: head (default), all, or the name of a stage",
}


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss of a classifier in training: `cross_entropy(logits, targets)` plus `penalty()`, unless that is None.

    It is used in training only. Validation uses the cross-entropy without label smoothing and penalty.
    """

    label_smoothing: float = 0.0
    l2: float = 0.0
    weights: tuple[nn.Parameter, ...] = ()
    """The parameters whose squares the penalty sums. They are those of the model, not copies."""

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats, with label smoothing.

        `logits` is (n, n_classes). `targets` is int64 (n,), or class probabilities (n, n_classes).
        """
        return functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)

    def penalty(self) -> Tensor | None:
        """Return `l2` times the sum of the squares of `weights`, a scalar. Returns None if `l2` is 0.

        There is no factor of 1/2, unlike in the weight decay of SGD and Adam.
        """
        if not self.l2:
            return None
        return self.l2 * torch.stack([weight.square().sum() for weight in self.weights]).sum()


def build(config: Config, model: TransferModel) -> Loss:
    """Return the loss that `config` describes for the parts of `model` that train.

    Call it after freezing, and again after each change of what is frozen.

    The penalty sums the weights of the head, or of the part that `l2_on` names. It includes only weights that train and
    have more than one dimension. So it leaves out biases and the scale factors of BatchNorm.

    Raises ValueError for a wrong value in `config`, or if `l2_on` names a part without such weights; the message names
    the key.
    """
    label_smoothing = read_float(config, "label_smoothing", 0.0, FROM_0_BELOW_1)
    l2 = read_float(config, "l2", 0.0, AT_LEAST_0)
    part_name = read_choice(config, "l2_on", "head", (HEAD, "all", *model.stages))
    if not l2:
        return Loss(label_smoothing)
    part = {HEAD: model.head, "all": model, **dict(model.stages.items())}[part_name]
    weights = tuple(weight for weight in part.parameters() if weight.requires_grad and weight.ndim > 1)
    if not weights:
        raise WrongValue(
            f"`l2_on` must name a part with weights that train, where `l2` is above 0, but is {part_name!r}"
        )
    return Loss(label_smoothing, l2, weights)
