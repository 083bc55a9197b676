"""One look at each image of a part: its size, its content as a hash, its brightness."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data import decoding
from trainables.data.dataset import Part, Source


@dataclass(frozen=True, eq=False)
class ImageSummary:
    """What is seen of an image."""

    size: tuple[int, int]
    """(width, height)."""
    is_grey: bool
    """Whether it has one channel, or all channels alike."""
    key: bytes
    """The same for two images of a part or file where their size and pixels are, and for no others."""
    histogram: NDArray[np.int64] | None = None
    """(3, 256): how many pixels of a file have each brightness, in red, green and blue."""


def summarize(source: Source) -> Iterator[ImageSummary | str]:
    """A look at each image, in order; the reason in words where a file cannot be read."""
    if isinstance(source, Part):
        return (_of_pixels(image.numpy()) for image in source.images.cpu())
    return decoding.in_threads(lambda i: _of_file(source.paths[i]), len(source))


def _of_file(path: Path) -> ImageSummary | str:
    try:
        image = decoding.read(path)
    except OSError as fault:
        return str(fault)
    red, green, blue = (band.tobytes() for band in image.split())
    histogram = np.array(image.histogram(), dtype=np.int64).reshape(3, 256)
    return ImageSummary(image.size, red == green == blue, _key(image.size, image.tobytes()), histogram)


def _of_pixels(image: NDArray[np.generic]) -> ImageSummary:
    """Of one of shape (channels, height, width)."""
    channels, height, width = image.shape
    is_grey = all(np.array_equal(image[0], image[i]) for i in range(1, channels))
    return ImageSummary((width, height), is_grey, _key(image.shape, image.tobytes()))


def _key(shape: tuple[int, ...], pixels: bytes) -> bytes:
    return hashlib.sha256(repr(shape).encode() + pixels).digest()
