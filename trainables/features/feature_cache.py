"""Features of frozen stages: computed once for all trials that share them.

Frozen stages in evaluation mode give the same features of the same image in every epoch of every trial.
So they are computed once, found again by what they depend on: the images, the weights and the form of the
stages, and the normalisation. Those of stages that no trial has changed since they came from a file are
kept on disk (`trainables/store/store.py`), for every study; others in memory, the last used ones, up to a limit,
and none longer than the part that they belong to.
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
"""What is kept in memory at most, over all data sets and models of a process."""
BATCH_SIZE = 64
"""Images at a time, so that what is in between needs little memory."""

MAX_SIZES = 1000
"""Forms of features that are remembered."""

Advance = Callable[[float], None]


class Features(NamedTuple):
    """What frozen stages make of the images of a part; change nothing of it in place."""

    values: Tensor
    """float32, (m, ...), on the part's device."""
    rows: Tensor | None
    """int64, (n,): which of them are those of the part; all in order where None."""


class FeatureCache:
    """Keeps features: in memory the last used ones, up to a limit; on disk where they last."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[tuple[int, str, bool], Features] = OrderedDict()
        """By the id of their part, which is alive as long as that is a key; the last used at the end."""
        self._sizes: dict[tuple[str, tuple[int, int, int]], tuple[int, ...]] = {}
        """The form of what stages make of an image, by their fingerprint and its own form."""
        self._mapped: weakref.WeakValueDictionary[tuple[str, str, bool], Tensor] = weakref.WeakValueDictionary()
        """Those on disk that are open, by the key of the images."""

    def get(self, model: TransferModel, part: Part, n_stages: int, fingerprint: str, *, bf16: bool = False) -> Features:
        """The features of a part after the first `n_stages` stages, which must be frozen.

        `fingerprint` is that of these stages. They are computed in evaluation mode, whatever mode the model
        is in, without gradients, and in bfloat16 if asked to.
        """
        key = (id(part), fingerprint, bf16)
        features = self._kept.pop(key, None)
        if features is None:
            features = self._on_disk(model, part, n_stages, fingerprint, bf16) or self._in_memory(
                model, part, n_stages, fingerprint, bf16
            )
            weakref.finalize(part, self._kept.pop, key, None)
        self._kept[key] = features
        while len(self._kept) > 1 and sum(map(self._n_bytes, self._kept.values())) > self._limit_bytes:
            self._kept.popitem(last=False)
        return features

    def fits(self, model: TransferModel, part: Part, n_stages: int, fingerprint: str) -> bool:
        """Whether there is room for the features of a part: on disk, or in memory beside those of another as large."""
        n_bytes = prod(self._shape(model, part, n_stages, fingerprint)) * torch.float32.itemsize
        disk = _disk(model, n_stages)
        if disk is not None and part.labels.device.type == "cpu" and disk.has_room(part.n_pool * n_bytes):
            return True
        return 2 * (part.n_pool if part.varied else len(part)) * n_bytes <= self._limit_bytes

    def _in_memory(self, model: TransferModel, part: Part, n_stages: int, fingerprint: str, bf16: bool) -> Features:
        is_some = part.rows is not None and not part.varied
        n, images = (len(part), part.batch) if is_some else (part.n_pool, part.of_pool)
        values = torch.empty((n, *self._shape(model, part, n_stages, fingerprint)), device=part.labels.device)
        _compute(model, images, values, n_stages, bf16)
        return Features(values, None if is_some else part.rows)

    def _on_disk(
        self, model: TransferModel, part: Part, n_stages: int, fingerprint: str, bf16: bool
    ) -> Features | None:
        """The features of all images of the part's pool; None where they do not last, or cannot be kept."""
        disk = _disk(model, n_stages)
        if disk is None:
            return None
        key = (part.key, fingerprint, bf16)
        values = self._mapped.get(key)
        if values is None:
            shape = (part.n_pool, *self._shape(model, part, n_stages, fingerprint))

            def fill(content: store.Bytes, advance: Advance) -> None:
                with all_cores():  # other workers wait for these features, or for none
                    made = torch.from_numpy(content).view(torch.float32).reshape(shape)
                    _compute(model, part.of_pool, made, n_stages, bf16, advance)

            words = f"features of {shape[0]} images, {' x '.join(map(str, shape[1:]))} numbers each"
            computed = (*key, torch.__version__, part.labels.device.type, BATCH_SIZE)
            found = disk.get("features", computed, prod(shape) * torch.float32.itemsize, words, fill)
            if found is None:
                return None
            values = torch.from_numpy(found.content).view(torch.float32).reshape(shape).to(part.labels.device)
            self._mapped[key] = values
        return Features(values, part.rows)

    def _shape(self, model: TransferModel, part: Part, n_stages: int, fingerprint: str) -> tuple[int, ...]:
        """The form of what the first stages make of an image of this part."""
        key = (fingerprint, part.shape)
        if len(self._sizes) > MAX_SIZES:
            self._sizes.clear()
        if key not in self._sizes:
            self._sizes[key] = _shape(model, part, n_stages)
        return self._sizes[key]

    def _n_bytes(self, features: Features) -> int:
        """What features take of this process's memory: nothing where they are mapped."""
        mapped = features.values.device.type == "cpu" and any(features.values is each for each in self._mapped.values())
        return 0 if mapped else features.values.nbytes


SHARED = FeatureCache(LIMIT_BYTES)
"""The store of this process."""


def width(model: TransferModel, part: Part) -> int:
    """How many numbers the head sees of an image of this part."""
    return prod(_shape(model, part, len(model.stages)))


def _disk(model: TransferModel, n_stages: int) -> store.Store | None:
    """The store on disk, where features of the first stages last longer than a trial."""
    names = list(model.stages)[:n_stages]
    lasts = model.pretrained.issuperset(names) and all(
        fingerprint.is_reproducible(model.stages[name]) for name in names
    )
    return store.shared() if lasts else None


def _shape(model: TransferModel, part: Part, n_stages: int) -> tuple[int, ...]:
    """The form of what the first stages make of an image of this part."""
    training = model.training
    model.eval()
    with torch.no_grad():
        features = model.run_stages(model.preprocess(part.batch(slice(1)).to(model.mean.device)), 0, n_stages)
    model.train(training)
    return tuple(features.shape[1:])


def _compute(
    model: TransferModel,
    images: Callable[[slice], Tensor],
    values: Tensor,
    n_stages: int,
    bf16: bool,
    advance: Advance = lambda done: None,
) -> None:
    """Put into `values`, (n, ...), what the first stages make of the n images."""
    training = model.training
    model.eval()
    device = model.mean.device
    with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        for start in range(0, len(values), BATCH_SIZE):
            batch = slice(start, min(start + BATCH_SIZE, len(values)))
            values[batch] = model.run_stages(model.preprocess(images(batch).to(device)), 0, n_stages)
            advance(batch.stop / len(values))
    model.train(training)
