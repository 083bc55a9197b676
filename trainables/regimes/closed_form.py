"""Closed-form classifiers on the features of a frozen pretrained model: baselines in seconds, without a learning rate.

Nothing is random, and images are not augmented. Each classifier ends as logits of the head:

- ridge: ridge regression on one-hot labels. An epoch takes the next smaller penalty `l2`.
- logistic: logistic regression with an L2 penalty. An epoch is some iterations of L-BFGS, until it has converged.
- lda: linear discriminant analysis. An epoch takes the next smaller `shrinkage` of the covariance.
- nearest_mean: the nearest class mean. All epochs are the same.
- knn: the votes of the k nearest training images. An epoch takes the next smaller `k`.

The scores of ridge, lda and nearest_mean are multiplied by one number, so that they are logits. The number is fitted on
the training images, each scored without itself (`trainables/training/closed_form/linear.py`). The logits of knn are the
logarithms of the shares of the votes, with one vote more that all classes share.

All but knn end as one linear layer. The head of knn holds the features of the training images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from torch import nn

from trainables.data.dataset import SearchData
from trainables.errors import WrongValue
from trainables.hyperparameters import (
    ABOVE_0,
    ABOVE_0_TO_1,
    AT_LEAST_1,
    Config,
    read_choice,
    read_float,
    read_int,
)
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent
from trainables.training.closed_form import LDA, Logistic, NearestMean, Ridge, TrainingSet, heads
from trainables.training.closed_form.classifiers import FewerNeighbours, Iterations, Path
from trainables.training.closed_form.neighbours import DISTANCES
from trainables.training.closed_form.training import BuildClassifier, ClosedFormTraining
from trainables.training.imbalance import class_weights

HYPERPARAMETERS = {
    "method": ["ridge", "logistic", "lda", "nearest_mean", "knn"],
    "l2": "ridge, logistic: factor on the sum of the squares of the weights, which is added to the mean loss, above 0; "
    "ridge divides it by `divisor` after each epoch; default 10 (ridge) or 0.01 (logistic)",
    "shrinkage": "lda: share of the covariance that is replaced by its mean variance, above 0 to 1; `divisor` divides "
    "it after each epoch; default 1",
    "k": "knn: number of neighbours, a whole number of at least 1 and at most the training images; `divisor` divides "
    "it after each epoch; default 32",
    "divisor": "ridge, lda, knn: what divides `l2`, `shrinkage` or `k` after each epoch, at least 1; default 2",
    "distance": ["euclidean", "cosine"],
    "iterations": "logistic: iterations of L-BFGS an epoch, a whole number of at least 1; default 10",
    "precision": ["fp32", "bf16", "auto"],
    "sampler": ["shuffle"],
    "loss_function": ["cross_entropy"],
}
MEANINGS = {
    "method": "the classifier that is computed from the features",
    "distance": "knn: how the distance of two images is measured",
    "precision": "numbers of the frozen stages; auto: bf16 on a GPU that has it, else fp32",
    "sampler": "each image counts once; `class_weights` lets rare classes count more",
    "loss_function": "no other loss than that of the classifier",
}
RANGES = {
    "l2": "float > 0",
    "shrinkage": "0 < float <= 1",
    "k": "int >= 1",
    "divisor": "float >= 1",
    "iterations": "int >= 1",
}
WHEN = {
    "l2": {"method": ["ridge", "logistic"]},
    "shrinkage": {"method": ["lda"]},
    "k": {"method": ["knn"]},
    "divisor": {"method": ["ridge", "lda", "knn"]},
    "distance": {"method": ["knn"]},
    "iterations": {"method": ["logistic"]},
}
IGNORES = {
    "dropout": "the head is computed, and nothing is dropped",
    "drop_path": "the frozen stages drop nothing",
    "head_init": "the head is computed and needs no first weights",
}
READS_ALSO = ("trainables.training.imbalance.class_weights",)
PRETRAINED = True
"""A space must say which weights the model starts from."""
DETERMINISTIC = True
"""Each seed gives the same model."""
AVERAGEABLE = False
"""Its classifiers have no common start, and the logits of each method have another scale."""
DEFAULT_L2 = {"ridge": 10.0, "logistic": 0.01}
MIN_STRENGTH = 1e-6
"""The smallest `l2` and `shrinkage` of a path, unless it begins below. It stays there."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training that computes the head of `model`, one strength or some iterations an epoch.

    The strength of an epoch depends on its number only, so it does not matter where a trial pauses, or how many epochs
    it may take. Raises ValueError for a wrong value in `config`; the message names the key. Raises SetupError if the
    features are too many for the classifier.
    """
    read_choice(config, "sampler", "shuffle", ("shuffle",))
    read_choice(config, "loss_function", "cross_entropy", ("cross_entropy",))
    data = data.to(device)
    method = _read_method(config, len(data.train))
    model.freeze(model.stages)
    weights = class_weights.build(config, data.train.labels, len(data.classes))
    layer, pools = heads.linear_layer(model, data.train, len(data.classes))
    model.to(device)
    return ClosedFormTraining(
        model,
        data,
        _classifier(method, model, layer, pools=pools),
        pools=pools,
        bf16=gradient_descent.is_bf16(config, device),
        class_weights=weights,
    )


@dataclass(frozen=True)
class _Method:
    """The values that a classifier is computed with."""

    name: str
    l2: float
    shrinkage: float
    k: int
    divisor: float
    distance: str
    iterations: int

    def strength(self, first: float, epoch: int) -> float:
        """Return the strength of an epoch, counted from 1, that is `first` in the first one."""
        return max(first * self.divisor ** (1 - epoch), min(first, MIN_STRENGTH))

    def n_neighbours(self, epoch: int) -> int:
        """Return the number of neighbours of an epoch, counted from 1."""
        return max(1, int(self.k * self.divisor ** (1 - epoch) + 1e-9))


def _read_method(config: Config, n_train: int) -> _Method:
    """Read all values, so that a wrong one is an error before the features are computed."""
    name = read_choice(config, "method", "ridge", tuple(HYPERPARAMETERS["method"]))
    l2 = read_float(config, "l2", DEFAULT_L2.get(name, 1.0), ABOVE_0)
    shrinkage = read_float(config, "shrinkage", 1.0, ABOVE_0_TO_1)
    k, divisor = read_int(config, "k", min(32, n_train)), read_float(config, "divisor", 2.0, AT_LEAST_1)
    distance = read_choice(config, "distance", "euclidean", DISTANCES)
    iterations = read_int(config, "iterations", 10)
    if k > n_train:
        raise WrongValue(f"`k` must be at most {n_train}, the number of training images, but is {k}")
    return _Method(name, l2, shrinkage, k, divisor, distance, iterations)


def _classifier(method: _Method, model: TransferModel, layer: nn.Linear, *, pools: bool) -> BuildClassifier:
    """Return what builds the classifier of a training set."""

    def ridge(training: TrainingSet) -> Path:
        ridges = Ridge(training)
        return Path(layer, training, lambda epoch: ridges.fit(method.strength(method.l2, epoch)).logits(training))

    def lda(training: TrainingSet) -> Path:
        found, first = LDA(training), method.shrinkage
        return Path(layer, training, lambda epoch: found.fit(method.strength(first, epoch)).logits(training))

    def nearest_mean(training: TrainingSet) -> Path:
        once = cache(lambda: NearestMean(training).fit().logits(training))
        return Path(layer, training, lambda epoch: once())

    def logistic(training: TrainingSet) -> Iterations:
        return Iterations(layer, training, Logistic(training, method.l2, method.iterations))

    def knn(training: TrainingSet) -> FewerNeighbours:
        return FewerNeighbours(model, training, distance=method.distance, pools=pools, n_neighbours=method.n_neighbours)

    builders: dict[str, BuildClassifier] = {
        "ridge": ridge,
        "logistic": logistic,
        "lda": lda,
        "nearest_mean": nearest_mean,
        "knn": knn,
    }
    return builders[method.name]
