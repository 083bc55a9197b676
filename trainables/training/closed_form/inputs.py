"""The inputs of a classifier: the features of the images of a part, and the training images with their statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from trainables.data.dataset import Part
from trainables.errors import SetupError
from trainables.features import feature_cache, fingerprint
from trainables.trainable import TransferModel

CHUNK = 1024
"""The number of images whose features are converted to float64 at a time."""
MAX_KEPT_BYTES = 2**29
"""The largest size of float64 features that are kept in memory. Larger ones are converted again each time."""
MAX_WIDTH = 16384
"""The largest number of features whose covariance is computed. In float64 it then takes 2 GiB."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """The features of n images. They are shared with the feature cache, so do not modify them."""

    values: Tensor
    """float32 (m, ...): the output of the last stage."""
    rows: Tensor | None = None
    """int64 (n,): the rows of `values` of the images. None if these are all rows, in order."""
    pools: bool = False
    """Whether maps (channels, height, width) are averaged over their positions. If not, they are flattened."""

    def __len__(self) -> int:
        return len(self.values if self.rows is None else self.rows)

    @property
    def width(self) -> int:
        """The number of features of an image after pooling or flattening."""
        return self.values.shape[1] if self.pools else int(self.values[0].numel())

    def batch(self, index: slice) -> Tensor:
        """Return the features of the images at `index` as the last stage gives them, float32 (k, ...)."""
        return self.values[index] if self.rows is None else self.values[self.rows[index]]

    def vectors(self, index: slice) -> Tensor:
        """Return the features of the images at `index` as vectors, float64 (k, width)."""
        batch = self.batch(index).double()
        return batch.mean(dim=(2, 3)) if self.pools else batch.flatten(1)

    def pooled(self) -> Inputs:
        """Return the same features with maps averaged already, so that later passes read fewer numbers."""
        if not self.pools:
            return self
        return Inputs(torch.cat([self.vectors(index).float() for index in self.slices()]))

    def slices(self) -> Iterator[slice]:
        """Yield the indices of the images, CHUNK at a time."""
        for start in range(0, len(self), CHUNK):
            yield slice(start, min(start + CHUNK, len(self)))


def of_part(model: TransferModel, part: Part, *, bf16: bool, pools: bool) -> Inputs:
    """Return the features of `part` after all stages, which must be frozen.

    They come from the feature cache. If that has no room, they are computed, and belong to the caller alone. The part
    and the model must lie on the same device.
    """
    n_stages, found = len(model.stages), fingerprint.of_stages(model, len(model.stages))
    if feature_cache.SHARED.fits(model, part, n_stages, found):
        values, rows = feature_cache.SHARED.get(model, part, n_stages, found, bf16=bf16)
        return Inputs(values, rows, pools)
    return Inputs(feature_cache.compute(model, part, n_stages, bf16=bf16), None, pools)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Training images for a classifier. Their features are centred, and divided by one number.

    The number makes the mean variance of the features 1. So a penalty on the weights means the same for the features
    of any network.
    """

    inputs: Inputs
    labels: Tensor
    """int64 (n,)."""
    n_classes: int
    class_weights: Tensor | None = None
    """The weight of each class, (n_classes,). None: all weigh alike."""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def weights(self) -> Tensor:
        """The weight of each image, float64 (n,). Their mean is 1."""
        if self.class_weights is None:
            return torch.ones(len(self), dtype=torch.float64, device=self.labels.device)
        weights = self.class_weights.double()[self.labels]
        return weights / weights.mean()

    @cached_property
    def counts(self) -> Tensor:
        """The number of images of each class, int64 (n_classes,)."""
        return torch.bincount(self.labels, minlength=self.n_classes)

    @cached_property
    def shares(self) -> Tensor:
        """The share of each class in the sum of the weights of all images, float64 (n_classes,)."""
        sums = torch.zeros(self.n_classes, dtype=torch.float64, device=self.labels.device)
        return sums.index_add_(0, self.labels, self.weights) / len(self)

    @cached_property
    def mean(self) -> Tensor:
        """The weighted mean of the features, float64 (width,)."""
        sums = [self.weights[index] @ self.inputs.vectors(index) for index in self.inputs.slices()]
        return torch.stack(sums).sum(dim=0) / len(self)

    @cached_property
    def scale(self) -> float:
        """The root of the mean variance of the features. 1 if all images have the same features."""
        sums = [
            self.weights[index] @ (self.inputs.vectors(index) - self.mean).square().mean(dim=1)
            for index in self.inputs.slices()
        ]
        return float(torch.stack(sums).sum() / len(self)) ** 0.5 or 1.0

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the indices of some images, and their centred and scaled features, float64 (k, width)."""
        for index in self.inputs.slices():
            yield index, self._scaled(index) if self._kept is None else self._kept[index]

    @cached_property
    def covariance(self) -> Tensor:
        """The weighted covariance of the centred and scaled features, float64 (width, width).

        Raises SetupError if there are more than MAX_WIDTH features.
        """
        width = self.inputs.width
        if width > MAX_WIDTH:
            raise SetupError(
                f"an image has {width} features, which are too many for a covariance: `method` ridge and lda take "
                f"at most {MAX_WIDTH}; logistic, nearest_mean and knn take any number",
                keys=("method", "model", "image_size"),
            )
        total = torch.zeros(width, width, dtype=torch.float64, device=self.labels.device)
        for index, features in self.chunks():
            total.addmm_((features * self.weights[index, None]).T, features)
        return total / len(self)

    @cached_property
    def class_means(self) -> Tensor:
        """The mean of the centred and scaled features of each class, float64 (n_classes, width). 0 without images."""
        sums = torch.zeros(self.n_classes, self.inputs.width, dtype=torch.float64, device=self.labels.device)
        for index, features in self.chunks():
            sums.index_add_(0, self.labels[index], features)
        return sums / self.counts.clamp(min=1)[:, None]

    @cached_property
    def _kept(self) -> Tensor | None:
        """The centred and scaled features of all images, if they are small enough to be kept."""
        if len(self) * self.inputs.width * 8 > MAX_KEPT_BYTES:
            return None
        return torch.cat([self._scaled(index) for index in self.inputs.slices()])

    def _scaled(self, index: slice) -> Tensor:
        return (self.inputs.vectors(index) - self.mean) / self.scale
