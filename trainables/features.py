"""Features of frozen stages (ground floor of training): computed once for all trials that share them.

Frozen stages in evaluation mode give the same features of the same image in every epoch of every trial.
So they are computed once and kept in memory, found again by what they depend on: the images, the
weights and the form of the stages, and the normalisation. The last used are kept, up to a limit, and
none longer than the part that they belong to.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from math import prod
from typing import Any

import torch
from torch import Tensor

from trainables.splits import Part
from trainables.trainable import TransferModel

LIMIT_BYTES = 6 * 2**30
"""What is kept at most, over all data sets and models of a process."""
BATCH_SIZE = 64
"""Images at a time, so that what is in between needs little memory."""


class Store:
    """Keeps features, the last used ones, up to a limit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[tuple[int, str, bool], Tensor] = OrderedDict()
        """By the id of their part, which is alive as long as that is a key; the last used at the end."""

    def of(self, model: TransferModel, part: Part, n_stages: int, fingerprint: str, *, bf16: bool = False) -> Tensor:
        """The features of a part after the first `n_stages` stages, which must be frozen; on the part's device.

        `fingerprint` is that of these stages. float32, (n, ...). They are computed in evaluation mode,
        whatever mode the model is in, without gradients, and in bfloat16 if asked to. They are kept:
        change nothing in place.
        """
        key = (id(part), fingerprint, bf16)
        features = self._kept.pop(key, None)
        if features is None:
            features = _computed(model, part, n_stages, bf16)
            weakref.finalize(part, self._kept.pop, key, None)
        self._kept[key] = features
        while len(self._kept) > 1 and sum(each.nbytes for each in self._kept.values()) > self._limit_bytes:
            self._kept.popitem(last=False)
        return features

    def fits(self, model: TransferModel, part: Part, n_stages: int) -> bool:
        """Whether there is room for the features of a part beside those of another as large."""
        return 2 * len(part) * _size(model, part, n_stages) * torch.float32.itemsize <= self._limit_bytes


SHARED = Store(LIMIT_BYTES)
"""The store of this process."""


def width(model: TransferModel, part: Part) -> int:
    """How many numbers the head sees of an image of this part."""
    return _size(model, part, len(model.stages))


def _size(model: TransferModel, part: Part, n_stages: int) -> int:
    """How many numbers the first stages make of an image of this part."""
    training = model.training
    model.eval()
    with torch.no_grad():
        features = model.between(model.inputs(part.images[:1].to(model.mean.device)), 0, n_stages)
    model.train(training)
    return prod(features.shape[1:])


def fingerprint(model: TransferModel, n_stages: int) -> str:
    """What the features after the first stages depend on beside the images, as a hash."""
    digest = hashlib.blake2b(digest_size=16)
    for name in list(model.stages)[:n_stages]:
        stage = model.stages[name]
        digest.update(repr(stage).encode())
        for module in stage.modules():  # what is neither weight nor buffer may count in its forward pass, too
            plain = {key: value for key, value in vars(module).items() if isinstance(value, bool | int | float | str)}
            plain.pop("training", None)  # features are computed in evaluation mode, whatever it is
            digest.update(repr(sorted(plain.items())).encode())
        tensors: list[tuple[str, Any]] = [*stage.named_parameters(), *stage.named_buffers()]
        for key, value in tensors:
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    for statistics in (model.mean, model.std):
        digest.update(statistics.cpu().numpy().tobytes())
    return digest.hexdigest()


def _computed(model: TransferModel, part: Part, n_stages: int, bf16: bool) -> Tensor:
    training = model.training
    model.eval()
    features: Tensor | None = None
    with torch.no_grad(), torch.autocast(part.images.device.type, dtype=torch.bfloat16, enabled=bf16):
        for start in range(0, len(part), BATCH_SIZE):
            batch = model.between(model.inputs(part.images[start : start + BATCH_SIZE]), 0, n_stages)
            if features is None:
                features = torch.empty((len(part), *batch.shape[1:]), device=batch.device)
            features[start : start + BATCH_SIZE] = batch
    model.train(training)
    assert features is not None, "a part holds at least one image"
    return features
