"""Contrastive pretraining: an encoder learns from triplets, then a classifier learns from labels.

With the triplet margin loss, an image (the anchor) must be closer to an image of its class (the positive) than to an
image of another class (the negative), by a margin (F. Schroff, D. Kalenichenko, J. Philbin, FaceNet, CVPR 2015, arXiv
1503.03832). Every image that has a positive and a negative in its batch is an anchor. Both are drawn at random from the
batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.dataset import SearchData
from trainables.features import feature_cache
from trainables.hyperparameters import ABOVE_0, Config, read_choice, read_float, read_int
from trainables.trainable import HEAD, Trainable, TransferModel
from trainables.training import gradient_descent
from trainables.training.epochs import BatchResult, Forward
from trainables.training.gradient_descent import Training
from trainables.training.phases import Phase, Phases

HYPERPARAMETERS = {
    "encoder_epochs": "epochs of the encoder on triplets, a whole number of at least 1; default 10",
    "encoder_lr": "learning rate of the encoder on triplets, above 0; default 1e-3",
    "margin": "how much farther away the image of the other class must be, above 0; default 1",
    "encoder": ["frozen", "fine_tune"],
    "classifier": ["softmax", "network"],
    "classifier_width": "units in the hidden layer of a classifier network, a whole number of at least 1; default 256",
}
MEANINGS = {
    "encoder": "whether the encoder stays as it is after its training on triplets, or trains on with the classifier",
    "classifier": "a linear softmax layer, or a network with one hidden layer",
}
RANGES = {
    "encoder_epochs": "int >= 1",
    "encoder_lr": "float > 0",
    "margin": "float > 0",
    "classifier_width": "int >= 1",
    "batch_size": "int >= 3",
}
WHEN = {"classifier_width": {"classifier": ["network"]}}
FIRST_PHASE = ("encoder_epochs",)
READS_ALSO = ("trainables.training",)
TRIPLET = 3
"""The number of images in a triplet, and the least `batch_size`."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training in two phases: the encoder (all stages) on triplets, then a classifier on its vectors.

    The epochs of both phases count. The classifier is the head of the model (`softmax`, the default) or a network with
    one hidden layer (`network`). While the classifier trains, the encoder is frozen (`frozen`, the default) or trains
    as well (`fine_tune`). Augmentation, mixing, class weights and the sampler apply only to the classifier's phase. The
    triplets of an epoch come from batches of unchanged images, each image once. A batch holds at least one triplet's
    images. Raises ValueError for a wrong value in `config`; the message names the key.
    """
    gradient_descent.read_batch_size(config, least=TRIPLET)  # smaller batches would train nothing
    if read_choice(config, "classifier", "softmax", ("softmax", "network")) == "network":
        n_features, width = feature_cache.width(model, data.train), read_int(config, "classifier_width", 256)
        layers = nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, len(data.classes))
        model.head = nn.Sequential(nn.Flatten(), *layers)
    frozen = read_choice(config, "encoder", "frozen", ("frozen", "fine_tune")) == "frozen"
    objective = Triplets(model, read_float(config, "margin", 1.0, ABOVE_0))

    def encode() -> Training:
        model.freeze([HEAD])
        optimization = gradient_descent.build_optimization(config, model, objective, device, lr="encoder_lr")
        # Triplets run all stages on images, so they cannot take the cached features of stages that unfreeze later.
        return Training(model, data, optimization, device, changes_images=True)

    def classify() -> Training:
        model.freeze(model.stages if frozen else ())
        return gradient_descent.build(config, model, data, device)

    return Phases(model, [Phase(encode, read_int(config, "encoder_epochs", 10)), Phase(classify)])


class Triplets:
    """The objective of the encoder: the triplet margin loss with Euclidean distances.

    The loss is the mean over all anchors that have a triplet. Distances are always computed in float32: `precision`
    applies only to the classifier. The accuracy is the share of anchors that are closer to their positive than to their
    negative.
    """

    def __init__(self, model: TransferModel, margin: float) -> None:
        self._model = model
        self._margin = margin

    def __call__(self, forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> BatchResult:
        vectors = self._model.features(inputs).flatten(1)
        anchors, positives, negatives = draw_triplets(labels, generator)
        to_positive = functional.pairwise_distance(vectors[anchors], vectors[positives])
        to_negative = functional.pairwise_distance(vectors[anchors], vectors[negatives])
        # In a batch without a triplet, the loss and its gradient are 0.
        loss = functional.relu(to_positive - to_negative + self._margin).sum() / max(len(anchors), 1)
        return BatchResult(loss, loss.detach(), (to_positive < to_negative).sum(), len(anchors))


def draw_triplets(labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the triplets of a batch with `labels` (n,).

    Returns the indices of the anchors, positives and negatives, (m,) each. Each sample is an anchor, unless no other
    sample has its class, or all samples have its class. Its positive and its negative are drawn uniformly from all
    possible samples.
    """
    n = len(labels)
    same = labels[:, None] == labels[None, :]
    draws = torch.rand((2, n, n), generator=generator).to(labels.device)
    itself = torch.eye(n, dtype=torch.bool, device=labels.device)
    is_positive, is_negative = same & ~itself, ~same
    positives = draws[0].masked_fill(~is_positive, -1).argmax(dim=1)
    negatives = draws[1].masked_fill(~is_negative, -1).argmax(dim=1)
    anchors = (is_positive.any(dim=1) & is_negative.any(dim=1)).nonzero().squeeze(1)
    return anchors, positives[anchors], negatives[anchors]
