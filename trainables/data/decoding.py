"""Decoding of image files to RGB, resizing of one image, and a thread pool to do both for many files.

The pixels are used as stored: orientation tags of cameras are ignored, and transparent pixels get the colour that is
stored for them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

VERSION = 1
"""A part of the keys in the store. Increase it if files decode to other pixels than before, to discard old entries."""
BLOCK = 32
"""The number of files that a thread reads in one task."""

Result = TypeVar("Result")


class NoImage(OSError):
    """The content of a file is not an image."""


def read(path: Path) -> Image.Image:
    """Return the image in a file as RGB, 8 bits a channel.

    Raises NoImage if the content of the file is not an image, and another OSError if the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            return _rgb(image)
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise NoImage("it is no image of a known format") from error
    except Exception as error:
        # For broken files, the decoders of Pillow raise exceptions of many types.
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.strerror) from error
        raise NoImage(f"{type(error).__name__}: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise OSError(f"mode {image.mode} has no fixed range of values, so it is no picture")
    if image.mode.startswith("I;16"):
        # Pillow would clip the values at 255, and most images would become white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def resize_image(image: Image.Image, size: int, resize: str) -> Image.Image:
    """Resize an image to (size, size) pixels, with bilinear filtering. `resize` is described in `ImageFormat`."""
    if resize == "squash":
        return image.resize((size, size), Image.Resampling.BILINEAR)
    width, height, left, top = center_crop(image.width, image.height, size)
    # Cropping before resizing computes only the pixels that are kept. The box is in pixels of the original image.
    x_scale, y_scale = image.width / width, image.height / height
    box = (left * x_scale, top * y_scale, (left + size) * x_scale, (top + size) * y_scale)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def center_crop(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Compute how to resize and crop an image of `width` by `height` pixels to its central square.

    Returns (width, height, left, top): the width and height to resize to, of which the smaller is `size`, and then the
    left and top of the central square of `size` pixels a side.
    """
    shorter = min(width, height)
    width, height = size * width // shorter, size * height // shorter
    return width, height, round((width - size) / 2), round((height - size) / 2)


def in_threads(read: Callable[[int], Result], n: int, n_threads: int | None = None) -> Generator[Result, None, None]:
    """Call `read` with 0..n-1 in threads, and yield the results in order.

    Without `n_threads`, as many threads are used as torch uses. The first error of `read` is raised here, and the calls
    that have not begun are cancelled.
    """
    blocks = [range(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    pool = ThreadPoolExecutor(n_threads or torch.get_num_threads())
    try:
        for results in pool.map(lambda block: [read(i) for i in block], blocks):
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)
