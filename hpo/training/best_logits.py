"""The file of a trial in training: the logits of its best epoch, and of the best epoch before.

A new best epoch is written before it is on record. So it is written over the older of the two, in place: this is faster
than a new file for each epoch, which takes as long as an epoch of a small head. A checksum tells what a kill left half
written. A worker is at most one epoch ahead of the record, so one of the two is the recorded best.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hpo.training.checksum import checksum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAGIC = b"hpoL"
FIELDS = struct.Struct("<4sIIII")
"""MAGIC, the epoch, the `targets_digest`, the number of images, that of classes."""
HEADER = struct.Struct("<4sIIIII")
"""FIELDS, and the checksum of them and of what follows."""
CHECKSUM = struct.Struct("<I")
N_PLACES = 2


class BestLogits(NamedTuple):
    """The logits of a best epoch."""

    epoch: int
    logits: NDArray[np.float16]
    """(n_images, n_classes)"""
    targets: int
    """The `targets_digest` of the labels of the images."""


def write(path: str, best: BestLogits) -> None:
    """Write the logits of a new best epoch over those of the same epoch, or else over the older ones in the file.

    The file is created if it is missing. Logits of other images are removed from it.
    """
    logits = best.logits.data.cast("B")
    fields = FIELDS.pack(MAGIC, best.epoch, best.targets, *best.logits.shape)
    header = fields + CHECKSUM.pack(checksum(fields, logits))
    size = len(header) + len(logits)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        found = [_epoch(os.pread(file, HEADER.size, i * size), header) for i in range(N_PLACES)]
        if found[0] is None and os.fstat(file).st_size:
            os.ftruncate(file, 0)
            found = [0, 0]
        epochs = [each or 0 for each in found]
        place = epochs.index(best.epoch if best.epoch in epochs else min(epochs))
        n_written = os.pwritev(file, [header, logits], place * size)
        while n_written < size:  # such as at the limit of a single write
            n_written += os.pwrite(file, (header + logits)[n_written:], place * size + n_written)
    finally:
        os.close(file)


def drop_later(path: str, after: int) -> None:
    """Remove the logits of epochs later than `after`, the last one on record. Their place is written next."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        first = os.pread(file, HEADER.size, 0)
        if len(first) < HEADER.size:
            return
        for i in range(N_PLACES):
            place = i * _size(first)
            header = os.pread(file, HEADER.size, place)
            if (_epoch(header, first) or 0) > after:
                magic, _, *others = HEADER.unpack(header)
                os.pwrite(file, HEADER.pack(magic, 0, *others), place)  # the checksum is wrong now
    finally:
        os.close(file)


def read(path: str) -> list[BestLogits]:
    """Return the logits in a file, the latest epoch first, without what is incomplete. Empty if it cannot be read."""
    import numpy as np

    try:
        content = Path(path).read_bytes()
    except OSError:
        return []
    found = []
    for i in range(N_PLACES if len(content) >= HEADER.size else 0):
        start = i * _size(content) + HEADER.size
        if len(content) < start:
            break
        magic, epoch, targets, n_images, n_classes, expected = HEADER.unpack_from(content, start - HEADER.size)
        part = memoryview(content)[start : start + 2 * n_images * n_classes]
        fields = content[start - HEADER.size : start - HEADER.size + FIELDS.size]
        if magic == MAGIC and len(part) == 2 * n_images * n_classes and checksum(fields, part) == expected:
            logits = np.frombuffer(part, "<f2").reshape(n_images, n_classes)
            found.append(BestLogits(epoch, logits, targets))
    return sorted(found, key=lambda each: -each.epoch)


def _epoch(header: bytes, like: bytes) -> int | None:
    """Return the epoch in a header. None if it is none, or for logits of other images or another shape than `like`."""
    if len(header) < HEADER.size:
        return None
    magic, epoch, *images, _ = HEADER.unpack(header)
    expected = HEADER.unpack(like[: HEADER.size])
    return int(epoch) if (magic, tuple(images)) == (MAGIC, expected[2:5]) else None


def _size(header: bytes) -> int:
    """Return the bytes of one place in the file, from the header of any."""
    _, _, _, n_images, n_classes, _ = HEADER.unpack_from(header)
    return HEADER.size + 2 * int(n_images) * int(n_classes)
