"""The k nearest neighbours: each votes for its class.

E. Fix, J. L. Hodges: Discriminatory Analysis, Nonparametric Discrimination, 1951; T. Cover, P. Hart: Nearest Neighbor
Pattern Classification, IEEE Transactions on Information Theory 13, 1967.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.training.closed_form.inputs import TrainingSet

DISTANCES = ("euclidean", "cosine")


class NearestNeighbours(nn.Module):
    """A head that holds the features of the training images, and returns the logarithms of the shares of the votes.

    One more vote is spread evenly over all classes, so that no class has the probability 0. The votes of images count
    by their weights. The features are centred at the mean of the training images; `cosine` compares their directions
    from it.
    """

    mean: Tensor
    """float32 (width,)."""
    neighbours: Tensor
    """float32 (n_training, width): the centred features of the training images."""
    votes: Tensor
    """float32 (n_training, n_classes): the vote of each."""

    def __init__(self, training: TrainingSet, k: int, distance: str) -> None:
        """`k` is the number of neighbours, at most the number of training images."""
        super().__init__()
        self.k = k
        self.is_cosine = distance == "cosine"
        self.register_buffer("mean", training.mean.float())
        vectors = torch.cat([training.inputs.vectors(index) - training.mean for index in training.inputs.slices()])
        self.register_buffer("neighbours", self._directions(vectors.float()))
        votes = functional.one_hot(training.labels, training.n_classes).double() * training.weights[:, None]
        self.register_buffer("votes", votes.float())

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of features (n, width): (n, n_classes)."""
        return self._logits(self._proximities(features), self.k)

    def left_out(self, features: Tensor, rows: Tensor) -> Tensor:
        """Return the logits of training images without their own votes. `rows` (n,) are their places among them."""
        proximities = self._proximities(features)
        proximities[torch.arange(len(rows), device=rows.device), rows] = -torch.inf
        return self._logits(proximities, min(self.k, proximities.shape[1] - 1))

    def _proximities(self, features: Tensor) -> Tensor:
        """Return a number that rises with the proximity to each training image, (n, n_training)."""
        centred = self._directions(features.float() - self.mean)
        products = centred @ self.neighbours.T
        return products if self.is_cosine else products - self.neighbours.square().sum(dim=1) / 2

    def _logits(self, proximities: Tensor, k: int) -> Tensor:
        votes: Tensor = self.votes[proximities.topk(k, dim=1).indices].sum(dim=1)
        return ((votes + 1 / votes.shape[1]) / (votes.sum(dim=1, keepdim=True) + 1)).log()

    def _directions(self, vectors: Tensor) -> Tensor:
        return functional.normalize(vectors, dim=1) if self.is_cosine else vectors
