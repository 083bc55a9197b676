"""The FeatureCache: features of frozen stages, computed once for all trials that share them.

Frozen stages in evaluation mode return the same features for an image in every epoch of every trial. So the features
are computed once and cached. The key of the cache holds everything that they depend on: the images, the weights and
code of the stages, and the normalization.

If the weights of the stages come from a file and were not trained since, the features are stored on disk, for all
studies (`trainables/store/store.py`). Other features are kept in memory, up to a limit, and at most as long as their
part exists.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.data.dataset import Part
from trainables.features import fingerprint
from trainables.store import store
from trainables.threads import all_cores
from trainables.trainable import TransferModel

LIMIT_BYTES = 6 * 2**30
"""The memory for features in a process, over all data sets and models."""
BATCH_SIZE = 64
"""The number of images that are computed at a time. It is small, so that the activations need little memory."""

MAX_SHAPES = 1000
"""The number of feature shapes that are cached."""

Advance = Callable[[float], None]
"""Reports the progress. It is called with the share that is done, 0 to 1."""


class Features(NamedTuple):
    """The features of the images of a part. They are shared, so do not modify them in place."""

    values: Tensor
    """float32, (m, ...), on the part's device."""
    rows: Tensor | None
    """int64, (n,): the rows of `values` that belong to the part. None if these are all rows, in order."""


class FeatureCache:
    """A cache of features, on disk if possible and otherwise in memory. It drops the least recently used ones first."""

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes` is the largest total size of the features in memory."""
        self._limit_bytes = limit_bytes
        self._features: OrderedDict[tuple[int, str, bool], Features] = OrderedDict()
        """The cached features by the id of their part, fingerprint and `bf16`, the last used at the end.

        Entries are deleted together with their part, so an id is never reused while it is a key.
        """
        self._shapes: dict[tuple[str, tuple[int, int, int]], tuple[int, ...]] = {}
        """The shape of the features of one image, by the fingerprint of the stages and the shape of the image."""
        self._memory_mapped: weakref.WeakValueDictionary[tuple[str, str, bool], Tensor] = weakref.WeakValueDictionary()
        """The features on disk that are open, by the key of the images, fingerprint and `bf16`."""

    def get(self, model: TransferModel, part: Part, n_stages: int, fingerprint: str, *, bf16: bool = False) -> Features:
        """Return the features of `part` after the first `n_stages` stages, which must be frozen.

        `fingerprint` is that of these stages (`fingerprint.of_stages`). With `bf16`, they are computed with bfloat16
        autocast. They are always computed in evaluation mode and without gradients; the mode of the model is restored.
        """
        key = (id(part), fingerprint, bf16)
        features = self._features.pop(key, None)
        if features is None:
            features = self._from_disk(model, part, n_stages, fingerprint, bf16) or self._in_memory(
                model, part, n_stages, fingerprint, bf16
            )
            weakref.finalize(part, self._features.pop, key, None)
        self._features[key] = features
        # A copy, because the garbage collector may delete entries at any time.
        while len(self._features) > 1 and sum(map(self._n_bytes, list(self._features.values()))) > self._limit_bytes:
            self._features.popitem(last=False)
        return features

    def fits(self, model: TransferModel, part: Part, n_stages: int, fingerprint: str) -> bool:
        """Return whether there is room for the features of `part`, on disk or in memory.

        In memory, the features of another part of the same size must fit as well.
        """
        n_bytes = prod(self._shape(model, part, n_stages, fingerprint)) * torch.float32.itemsize
        disk = _disk(model, n_stages)
        if disk is not None and part.labels.device.type == "cpu" and disk.has_room(part.n_pool * n_bytes):
            return True
        return 2 * (part.n_pool if part.has_views else len(part)) * n_bytes <= self._limit_bytes

    def clear(self) -> None:
        """Forget all features. Those on disk stay there."""
        self._features.clear()
        self._memory_mapped.clear()

    def _in_memory(self, model: TransferModel, part: Part, n_stages: int, fingerprint: str, bf16: bool) -> Features:
        """Compute the features of `part` in memory, or those of all views if it has any."""
        is_selection = part.rows is not None and not part.has_views
        n, images = (len(part), part.batch) if is_selection else (part.n_pool, part.of_pool)
        values = torch.empty((n, *self._shape(model, part, n_stages, fingerprint)), device=part.labels.device)
        _compute(model, images, values, n_stages, bf16)
        return Features(values, None if is_selection else part.rows)

    def _from_disk(
        self, model: TransferModel, part: Part, n_stages: int, fingerprint: str, bf16: bool
    ) -> Features | None:
        """Return the features of the part's whole pool from the store. None if the features cannot be stored."""
        disk = _disk(model, n_stages)
        if disk is None:
            return None
        key = (part.key, fingerprint, bf16)
        values = self._memory_mapped.get(key)
        if values is None:
            shape = (part.n_pool, *self._shape(model, part, n_stages, fingerprint))

            def fill(content: store.Bytes, advance: Advance) -> None:
                with all_cores():  # other workers that need these features wait meanwhile
                    features = torch.from_numpy(content).view(torch.float32).reshape(shape)
                    _compute(model, part.of_pool, features, n_stages, bf16, advance)

            description = f"features of {shape[0]} images, {' x '.join(map(str, shape[1:]))} numbers each"
            disk_key = (*key, torch.__version__, part.labels.device.type, BATCH_SIZE)
            entry = disk.get("features", disk_key, prod(shape) * torch.float32.itemsize, description, fill)
            if entry is None:
                return None
            values = torch.from_numpy(entry.content).view(torch.float32).reshape(shape).to(part.labels.device)
            self._memory_mapped[key] = values
        return Features(values, part.rows)

    def _shape(self, model: TransferModel, part: Part, n_stages: int, fingerprint: str) -> tuple[int, ...]:
        """Return the shape of the features of one image of `part`. It is cached."""
        key = (fingerprint, part.shape)
        if len(self._shapes) > MAX_SHAPES:
            self._shapes.clear()
        if key not in self._shapes:
            self._shapes[key] = _feature_shape(model, part, n_stages)
        return self._shapes[key]

    def _n_bytes(self, features: Features) -> int:
        """Return the memory that features take in this process: none if they are memory-mapped."""
        is_mapped = features.values.device.type == "cpu" and any(
            features.values is values for values in self._memory_mapped.values()
        )
        return 0 if is_mapped else features.values.nbytes


SHARED = FeatureCache(LIMIT_BYTES)
"""The feature cache of this process."""


def width(model: TransferModel, part: Part) -> int:
    """Return the number of features that the head receives for each image of `part`."""
    return prod(shape(model, part))


def shape(model: TransferModel, part: Part) -> tuple[int, ...]:
    """Return the shape of the features that the head receives for an image of `part`."""
    return _feature_shape(model, part, len(model.stages))


def compute(model: TransferModel, part: Part, n_stages: int, *, bf16: bool = False) -> Tensor:
    """Return the features of `part` after the first stages, float32 (n, ...), without the cache.

    It is for features that do not fit into the cache.
    """
    values = torch.empty((len(part), *_feature_shape(model, part, n_stages)), device=part.labels.device)
    _compute(model, part.batch, values, n_stages, bf16)
    return values


def _disk(model: TransferModel, n_stages: int) -> store.Store | None:
    """Return the store on disk if the features of the first stages can be stored there, otherwise None.

    They can be stored if other trials and processes will compute the same features.
    """
    names = list(model.stages)[:n_stages]
    is_storable = model.pretrained.issuperset(names) and all(
        fingerprint.is_reproducible(model.stages[name]) for name in names
    )
    return store.shared() if is_storable else None


def _feature_shape(model: TransferModel, part: Part, n_stages: int) -> tuple[int, ...]:
    """Return the shape of the features of one image of `part`. It runs an image through the first stages."""
    with model.in_evaluation(), torch.no_grad():
        features = model.run_stages(model.preprocess(part.batch(slice(1)).to(model.mean.device)), 0, n_stages)
    return tuple(features.shape[1:])


def _compute(
    model: TransferModel,
    images: Callable[[slice], Tensor],
    values: Tensor,
    n_stages: int,
    bf16: bool,
    advance: Advance = lambda done: None,
) -> None:
    """Compute the features of n images after the first stages, and write them into `values`, (n, ...).

    `images` returns the images of a slice.
    """
    device = model.mean.device
    with model.in_evaluation(), torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        for start in range(0, len(values), BATCH_SIZE):
            batch = slice(start, min(start + BATCH_SIZE, len(values)))
            values[batch] = model.run_stages(model.preprocess(images(batch).to(device)), 0, n_stages)
            advance(batch.stop / len(values))
