"""The training loss: cross-entropy or focal loss with class weights and label smoothing, and an explicit L2 penalty."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import WrongValue
from trainables.hyperparameters import AT_LEAST_0, FROM_0_BELOW_1, Config, read_choice, read_float
from trainables.trainable import HEAD, TransferModel
from trainables.training.imbalance import class_weights

HYPERPARAMETERS = {
    "loss_function": ["cross_entropy", "focal"],
    "focal_gamma": "focal: the exponent, at least 0; a larger one reduces the weight of well-classified images; "
    "0 is the cross-entropy; default 2",
    "label_smoothing": "share of each target that is spread evenly over all classes, 0 to below 1; default 0",
    "l2": "factor on the sum of the squares of weights, which is added to the training loss, at least 0; default 0",
    "l2_on": "the part whose weights are summed: head, all, or the name of a stage; default head",
}
MEANINGS = {"loss_function": "the training loss"}
RANGES = {"focal_gamma": "float >= 0", "label_smoothing": "0 <= float < 1", "l2": "float >= 0"}
WHEN = {"focal_gamma": {"loss_function": ["focal"]}, "l2_on": {"l2": "given"}}
READS_ALSO = ("trainables.training.imbalance.class_weights",)


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss of a classifier in training: `mean(logits, targets)` plus `penalty()`, unless that is None.

    It is used in training only. Validation uses the cross-entropy without class weights, smoothing and penalty.
    """

    label_smoothing: float = 0.0
    l2: float = 0.0
    weights: tuple[nn.Parameter, ...] = ()
    """The parameters whose squares the penalty sums. They are those of the model, not copies."""
    class_weights: Tensor | None = None
    """The weight of each class, float32 (n_classes,), on the device of the logits. None: all weigh alike."""
    focal_gamma: float = 0.0
    """The exponent of the focal loss. 0 is the cross-entropy."""

    def mean(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch in nats, a scalar, with class weights and label smoothing.

        `logits` is (n, n_classes). `targets` is int64 (n,), or class probabilities (n, n_classes).

        The loss of a sample is the sum over all classes c of -t_c * w_c * (1 - p_c) ** focal_gamma * log(p_c). t is the
        target after label smoothing, w are the class weights, p is the softmax of the logits. This is the focal loss of
        T.-Y. Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002, for several classes.

        With class weights, the sum over the batch is divided by the sum of the weights of its samples, as PyTorch's
        `cross_entropy` does for labels. The weight of a sample is that of its class. For class probabilities, it is the
        mean of the class weights by these probabilities. (There, PyTorch divides by n.)
        """
        if not self.focal_gamma and (self.class_weights is None or targets.ndim == 1):
            return functional.cross_entropy(logits, targets, self.class_weights, label_smoothing=self.label_smoothing)
        n_classes = logits.shape[1]
        probabilities = functional.one_hot(targets, n_classes).to(logits) if targets.ndim == 1 else targets
        smoothed = (1 - self.label_smoothing) * probabilities + self.label_smoothing / n_classes
        losses = smoothed * focal(logits.log_softmax(dim=1), self.focal_gamma)
        weighted = losses if self.class_weights is None else losses * self.class_weights
        return weighted.sum() / self.divisor(probabilities)

    def divisor(self, targets: Tensor) -> Tensor | int:
        """Return what `mean` divides the sum over a batch by: its number of samples, or the sum of their weights.

        `targets` is int64 (n,), or class probabilities (n, n_classes).
        """
        if self.class_weights is None:
            return len(targets)
        return (self.class_weights[targets] if targets.ndim == 1 else targets * self.class_weights).sum()

    def penalty(self) -> Tensor | None:
        """Return `l2` times the sum of the squares of `weights`, a scalar. Returns None if `l2` is 0.

        There is no factor of 1/2, unlike in the weight decay of SGD and Adam.
        """
        if not self.l2:
            return None
        return self.l2 * torch.stack([weight.square().sum() for weight in self.weights]).sum()


def focal(log_probabilities: Tensor, gamma: float) -> Tensor:
    """Return -(1 - p) ** gamma * log(p) of each probability p, in the shape of `log_probabilities`."""
    return -failure(log_probabilities).pow(gamma) * log_probabilities


def failure(log_probabilities: Tensor) -> Tensor:
    """Return 1 - p of each probability p, or the smallest normal number instead of 0.

    At 0, a power below 1 has an infinite derivative.
    """
    return (-log_probabilities.expm1()).clamp(min=torch.finfo(log_probabilities.dtype).tiny)


def build(config: Config, model: TransferModel, labels: Tensor, n_classes: int) -> Loss:
    """Return the loss that `config` describes for the parts of `model` that train.

    Call it after freezing, and again after each change of what is frozen. `labels` are those of the part that is
    trained on, int64 (n,), on the device of the training. Class weights are computed from them.

    The penalty sums the weights of the head, or of the part that `l2_on` names. It includes only weights that train and
    have more than one dimension. So it leaves out biases and the scale factors of BatchNorm.

    Raises ValueError for a wrong value in `config`, or if `l2_on` names a part without such weights; the message names
    the key.
    """
    is_focal = read_choice(config, "loss_function", "cross_entropy", ("cross_entropy", "focal")) == "focal"
    gamma = read_float(config, "focal_gamma", 2.0, AT_LEAST_0)
    loss = Loss(
        label_smoothing=read_float(config, "label_smoothing", 0.0, FROM_0_BELOW_1),
        l2=read_float(config, "l2", 0.0, AT_LEAST_0),
        class_weights=class_weights.build(config, labels, n_classes),
        focal_gamma=gamma if is_focal else 0.0,
    )
    part_name = read_choice(config, "l2_on", "head", (HEAD, "all", *model.stages))
    if not loss.l2:
        return loss
    part = {HEAD: model.head, "all": model, **dict(model.stages.items())}[part_name]
    weights = tuple(weight for weight in part.parameters() if weight.requires_grad and weight.ndim > 1)
    if not weights:
        raise WrongValue(
            f"`l2_on` must name a part with weights that train, where `l2` is above 0, but is {part_name!r}"
        )
    return replace(loss, weights=weights)
