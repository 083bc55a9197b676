"""Contrastive pretraining: an encoder learns from triplets, then a classifier from labels.

The triplet margin loss wants an image nearer to one of its class than to one of another, by a margin
(F. Schroff, D. Kalenichenko, J. Philbin, FaceNet, CVPR 2015, arXiv 1503.03832). Each image of a batch is an
anchor; its positive and its negative are drawn at random among the others of the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.dataset import SearchData
from trainables.features import feature_cache
from trainables.hyperparameters import ABOVE_0, Config, choice, real, whole
from trainables.trainable import HEAD, Trainable, TransferModel
from trainables.training import gradient_descent
from trainables.training.epochs import BatchResult, Forward
from trainables.training.gradient_descent import Training
from trainables.training.phases import Phase, Phases

HYPERPARAMETERS = {
    "encoder_epochs": "epochs of the encoder on triplets, a whole number of at least 1; default 10",
    "encoder_lr": "learning rate of the encoder on triplets, above 0; default 1e-3",
    "margin": "by how much the other class must lie farther off, above 0; default 1",
    "encoder": ["frozen", "fine_tune"],
    "classifier": ["softmax", "network"],
    "classifier_width": "units in the hidden layer of a classifier network, a whole number of at least 1; default 256",
}
READS_ALSO = ("trainables.training",)


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """The encoder (all stages) on triplets, then the classifier on its vectors; the epochs of both count.

    The classifier is the head of the model (`softmax`) or a network with one hidden layer; the encoder
    is `frozen` under it (the default), or trains with it. Augmentation and mixing are for the classifier:
    triplets are of images as they are. A ValueError names a wrong value and its key.
    """
    if choice(config, "classifier", "softmax", ("softmax", "network")) == "network":
        n_features, width = feature_cache.width(model, data.train), whole(config, "classifier_width", 256)
        layers = nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, len(data.classes))
        model.head = nn.Sequential(nn.Flatten(), *layers)
    frozen = choice(config, "encoder", "frozen", ("frozen", "fine_tune")) == "frozen"
    objective = Triplets(model, real(config, "margin", 1.0, ABOVE_0))

    def encode() -> Training:
        model.freeze([HEAD])
        return Training(model, data, gradient_descent.method(config, model, objective, device, lr="encoder_lr"), device)

    def classify() -> Training:
        model.freeze(model.stages if frozen else ())
        return gradient_descent.build(config, model, data, device)

    return Phases(model, [Phase(encode, whole(config, "encoder_epochs", 10)), Phase(classify)])


class Triplets:
    """The objective of the encoder: the triplet margin loss, Euclidean, over the anchors that have a triplet.

    Distances are taken of float32 vectors, whatever `precision` says of the classifier.
    Reported as accuracy: the share of anchors that lie nearer to their positive than to their negative.
    """

    def __init__(self, model: TransferModel, margin: float) -> None:
        self._model = model
        self._margin = margin

    def __call__(self, forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> BatchResult:
        vectors = self._model.features(inputs).flatten(1)
        anchors, positives, negatives = draw_triplets(labels, generator)
        near = functional.pairwise_distance(vectors[anchors], vectors[positives])
        far = functional.pairwise_distance(vectors[anchors], vectors[negatives])
        # A batch without a triplet has no loss, and no gradient.
        loss = functional.relu(near - far + self._margin).sum() / max(len(anchors), 1)
        return BatchResult(loss, loss.detach(), (near < far).sum(), len(anchors))


def draw_triplets(labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of anchors, positives and negatives, (m,) each, of a batch with `labels` (n,).

    Each sample is an anchor, unless it is alone in its class or there is no other class. The partners are
    uniform over all that are possible.
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
