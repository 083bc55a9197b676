"""Image files decoded: one file to pixels in red, green and blue, many in threads.

A file is taken as its pixels lie in it: a camera's note on how to turn it is not followed, and what is
transparent shows the colour that is stored there.
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
"""Raised where the same file gives other pixels than before: what is kept of older ones is not used then."""
BLOCK = 32
"""Files that a thread reads at a time."""

Result = TypeVar("Result")


class NoImage(OSError):
    """What a file holds is no picture."""


def read(path: Path) -> Image.Image:
    """The image in a file, in red, green and blue of 0..255; an OSError says why there is none.

    It is NoImage where that lies in what the file holds, not in the disk.
    """
    try:
        with Image.open(path) as image:
            return _rgb(image)
    except MemoryError:
        raise
    except UnidentifiedImageError as fault:
        raise NoImage("it is no image of a known format") from fault
    except Exception as fault:
        # Pillow's decoders raise whatever the broken bytes lead them to.
        if isinstance(fault, OSError) and fault.errno is not None:
            raise OSError(fault.strerror) from fault
        raise NoImage(f"{type(fault).__name__}: {fault}") from fault


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise OSError(f"mode {image.mode} has no fixed range of values, so it is no picture")
    if image.mode.startswith("I;16"):
        # Pillow would clip 16 bits to 8, which leaves a white image.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def fitted(image: Image.Image, size: int, resize: str) -> Image.Image:
    """An image with both sides of `size` pixels."""
    if resize == "squash":
        return image.resize((size, size), Image.Resampling.BILINEAR)
    width, height, left, top = middle(image.width, image.height, size)
    # Only what will be kept is computed: the box is the middle as it lies in the image before scaling.
    x, y = image.width / width, image.height / height
    box = (left * x, top * y, (left + size) * x, (top + size) * y)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def middle(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Width and height when the shorter of them is `size`; left and top of the middle `size` pixels a side of that."""
    shorter = min(width, height)
    width, height = size * width // shorter, size * height // shorter
    return width, height, round((width - size) / 2), round((height - size) / 2)


def in_threads(read: Callable[[int], Result], n: int, n_threads: int | None = None) -> Generator[Result, None, None]:
    """What `read` makes of 0..n-1, in order, by `n_threads`, else as many as torch may use.

    The first error of `read` ends them all.
    """
    blocks = [range(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    pool = ThreadPoolExecutor(n_threads or torch.get_num_threads())
    try:
        for results in pool.map(lambda block: [read(i) for i in block], blocks):
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)
