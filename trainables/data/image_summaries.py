"""A summary of each image of a part: its size, whether it is grey, a hash of its pixels, and its histogram."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data import decoding
from trainables.data.dataset import Part, Source
from trainables.data.decoding import DecodingOptions


@dataclass(frozen=True, eq=False)
class ImageSummary:
    """The properties of one image."""

    size: tuple[int, int]
    """(width, height), in pixels."""
    is_grey: bool
    """Whether the image has one channel, or equal channels."""
    pixel_hash: bytes
    """A hash of the size and the pixels: equal for two images of a data set if and only if the images are equal."""
    histogram: NDArray[np.int64] | None = None
    """(3, 256): the number of pixels of each value in red, green and blue. None for an image that is in memory."""


def summarize(source: Source, options: DecodingOptions) -> Iterator[ImageSummary | str]:
    """Summarize each image, in order. For a file that cannot be read, yield the reason as text instead."""
    if isinstance(source, Part):
        return (_summarize_pixels(image.numpy()) for image in source.images.cpu())
    return decoding.in_threads(lambda i: _summarize_file(source.paths[i], options), len(source))


def _summarize_file(path: Path, options: DecodingOptions) -> ImageSummary | str:
    try:
        image = decoding.read(path, options)
    except OSError as error:
        return str(error)
    red, green, blue = (band.tobytes() for band in image.split())
    histogram = np.array(image.histogram(), dtype=np.int64).reshape(3, 256)
    return ImageSummary(image.size, red == green == blue, _pixel_hash(image.size, image.tobytes()), histogram)


def _summarize_pixels(image: NDArray[np.generic]) -> ImageSummary:
    """Summarize an image of shape (channels, height, width)."""
    channels, height, width = image.shape
    is_grey = all(np.array_equal(image[0], image[i]) for i in range(1, channels))
    return ImageSummary((width, height), is_grey, _pixel_hash(image.shape, image.tobytes()))


def _pixel_hash(shape: tuple[int, ...], pixels: bytes) -> bytes:
    return hashlib.sha256(repr(shape).encode() + pixels).digest()
