"""The file of a trial's epochs: the loss and the predicted class of each validation image after each epoch.

An epoch is appended before it is on record, by one write. A kill may leave a part of one at the end of the file, or an
epoch that is not on record. `keep_recorded` cuts them off before the trial goes on, so that the file is the same as
without a kill.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hpo.training.checksum import checksum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAGIC = b"hpoE"
FIELDS = struct.Struct("<4sIIII")
"""MAGIC, the epoch, the `targets_digest`, the number of images, the bytes of a class."""
HEADER = struct.Struct("<4sIIIII")
"""FIELDS, and the checksum of them and of what follows."""
CHECKSUM = struct.Struct("<I")
HIGHEST_LOSS = 65504.0
"""The highest float16. Higher losses are kept as this."""
HIGHEST_UINT16 = 2**16 - 1


class EpochRecord(NamedTuple):
    """What is kept of an epoch."""

    epoch: int
    targets: int
    """The `targets_digest` of the labels of the images."""
    losses: NDArray[np.float16]
    """The cross-entropy of each image, (n_images,)."""
    predicted: NDArray[np.unsignedinteger]
    """The predicted class of each image, (n_images,)."""


def encode(epoch: int, losses: NDArray[np.float32], predicted: NDArray[np.integer], targets: int) -> bytes | None:
    """Return an epoch as it stands in the file: 4 bytes for each image, 6 with more than 65,536 classes.

    Returns None if a loss is NaN.
    """
    import numpy as np

    highest = losses.max()
    if highest != highest:
        return None
    wide = predicted.max() > HIGHEST_UINT16
    half = (np.minimum(losses, HIGHEST_LOSS) if highest > HIGHEST_LOSS else losses).astype(np.float16)
    content = predicted.astype(np.uint32 if wide else np.uint16).tobytes() + half.tobytes()
    fields = FIELDS.pack(MAGIC, epoch, targets, len(losses), 4 if wide else 2)
    return b"".join((fields, CHECKSUM.pack(checksum(fields, content)), content))


def epoch_of(record: bytes) -> int:
    """Return the epoch of what `encode` returned."""
    return int(HEADER.unpack_from(record)[1])


def append(path: str, record: bytes) -> None:
    """Append what `encode` returned. The file is created if it is missing."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        while record:
            record = record[os.write(file, record) :]
    finally:
        os.close(file)


def keep_recorded(path: str, after: int) -> frozenset[int]:
    """Cut off all from the first epoch that is later than `after`, or incomplete. Returns the epochs that stay."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return frozenset()
    try:
        size, end, epochs = os.fstat(file).st_size, 0, set[int]()
        while (n_bytes := _n_bytes(header := os.pread(file, HEADER.size, end))) and end + n_bytes <= size:
            epoch = epoch_of(header)
            if epoch > after:
                break
            epochs.add(epoch)
            end += n_bytes
        if end < size:
            os.ftruncate(file, end)
    finally:
        os.close(file)
    return frozenset(epochs)


def read(path: str) -> Iterator[EpochRecord]:
    """Yield the epochs in a file, in their order, up to the first that is incomplete or damaged.

    Raises OSError if it cannot be read.
    """
    import numpy as np

    content = Path(path).read_bytes()
    at = 0
    while (n_bytes := _n_bytes(content[at : at + HEADER.size])) and at + n_bytes <= len(content):
        _, epoch, targets, n_images, width, expected = HEADER.unpack_from(content, at)
        start = at + HEADER.size
        if checksum(content[at : at + FIELDS.size], memoryview(content)[start : at + n_bytes]) != expected:
            return
        predicted: NDArray[np.unsignedinteger] = np.frombuffer(content, f"<u{width}", n_images, start)
        losses: NDArray[np.float16] = np.frombuffer(content, "<f2", n_images, start + width * n_images)
        yield EpochRecord(epoch, targets, losses, predicted)
        at += n_bytes


def _n_bytes(header: bytes) -> int:
    """Return the size of an epoch in the file, with its header. 0 if this is no header."""
    if len(header) < HEADER.size:
        return 0
    magic, _, _, n_images, width, _ = HEADER.unpack(header)
    return HEADER.size + n_images * (width + 2) if magic == MAGIC and width in (2, 4) else 0
