"""Images brought to one form (ground floor of training): files read, sizes and channels made alike, statistics.

A file is taken as its pixels lie in it: a camera's note on how to turn it is not followed, and what is
transparent shows the colour that is stored there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from trainables.faults import SetupError
from trainables.splits import Files, Part, Source

RESIZES = ("crop", "squash")
BATCH = 2**18
"""Values of a part that are resized or summed up at a time: few enough to stay in a processor's cache."""
BLOCK = 32
"""Files that a thread reads at a time."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Form:
    """What images are to be brought to; a ValueError names a value that cannot be."""

    size: int | None = None
    """Pixels a side, the same for both; None leaves the images of a part as they are."""
    channels: int | None = None
    """None leaves them as they are; files have 3."""
    resize: str = "crop"
    """crop: the shorter side becomes `size`, then the middle is cut out; squash: both sides become `size`."""
    skip_unreadable: bool = False
    """Leave out files that are no image, where else the first of them is an error."""

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"`image_size` must be a whole number of at least 1, but is {self.size!r}")
        if self.resize not in RESIZES:
            raise ValueError(f"`resize` must be one of {', '.join(RESIZES)}, but is {self.resize!r}")


def load(source: Source, form: Form) -> Part:
    """The images of `source`, in order, in one form and in memory: uint8, or float32 where a part has it.

    Sizes change by a bilinear filter that is widened where an image shrinks. A ValueError where a size
    is missing or colour would have to become grey; a SetupError names a file that cannot be read
    (`skip_unreadable`), or one of a class of which none can.
    """
    if isinstance(source, Files):
        _check_channels(3, form)
        return _read(source, form)
    _check_channels(source.shape[0], form)
    images = _resized(source.images, form)
    if form.channels is not None and images.shape[1] != form.channels:
        # A view: grey thrice over takes no more memory than once.
        images = images.expand(-1, form.channels, -1, -1)
    return source if images is source.images else Part(images, source.labels)


def statistics(part: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and the standard deviation a channel, of images as 0..1, over all pixels of the part.

    In one pass of float64 sums. The deviation is that of these pixels themselves, not an estimate from a sample.
    """
    channels = part.shape[0]
    sums, squares = torch.zeros(2, channels, dtype=torch.float64)
    for batch in _batches(part.images):
        values = part.images[batch].to("cpu", torch.float64).flatten(2)
        sums += values.sum(2).sum(0)
        squares += values.square().sum(2).sum(0)
    n = part.images.numel() / channels
    brightest = 255 if part.images.dtype == torch.uint8 else 1
    mean = sums / n
    std = (squares / n - mean.square()).clamp(min=0).sqrt()
    return tuple((mean / brightest).tolist()), tuple((std / brightest).tolist())


def read(path: Path) -> Image.Image:
    """The image in a file, in red, green and blue of 0..255; an OSError says why there is none."""
    try:
        with Image.open(path) as image:
            return _rgb(image)
    except MemoryError:
        raise
    except UnidentifiedImageError as fault:
        raise OSError("it is no image of a known format") from fault
    except Exception as fault:
        # Pillow's decoders raise whatever the broken bytes lead them to.
        raise OSError(getattr(fault, "strerror", None) or f"{type(fault).__name__}: {fault}") from fault


def in_threads(read: Callable[[int], Result], n: int) -> Generator[Result, None, None]:
    """What `read` makes of 0..n-1, in order, by as many threads as torch may use; its first error ends them all."""
    blocks = [range(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    pool = ThreadPoolExecutor(torch.get_num_threads())
    try:
        for results in pool.map(lambda block: [read(i) for i in block], blocks):
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)


def _check_channels(present: int, form: Form) -> None:
    if form.channels not in (None, present) and present != 1:
        raise ValueError(f"`model` needs images of {form.channels} channels, but those of the data set have {present}")


def _read(files: Files, form: Form) -> Part:
    if form.size is None:
        raise ValueError("`image_size` must be given for a data set of files, whose images may differ in size")
    size, n = form.size, len(files)
    pixels = np.empty((n, 3, size, size), dtype=np.uint8)

    def fill(i: int) -> bool:
        try:
            image = read(files.paths[i])
        except OSError as fault:
            if form.skip_unreadable:
                return False
            remedy = "mend or remove it, or set `skip_unreadable: true` to leave such files out"
            raise SetupError(f"{files.paths[i]}: cannot be read as an image ({fault}); {remedy}") from fault
        pixels[i] = np.asarray(_fitted(image, size, form.resize)).transpose(2, 0, 1)
        return True

    kept = [i for i, filled in enumerate(in_threads(fill, n)) if filled]
    _check_classes(files, kept)
    if len(kept) < n:
        # Closed up in place: a second copy may not fit in memory.
        for place, i in enumerate(kept):
            pixels[place] = pixels[i]
    return Part(torch.from_numpy(pixels[: len(kept)]), files.labels[kept])


def _check_classes(files: Files, kept: Sequence[int]) -> None:
    """A SetupError where a class has lost all its files."""
    left = set(files.labels[torch.as_tensor(kept, dtype=torch.int64)].tolist())
    for path, label in zip(files.paths, files.labels.tolist(), strict=True):
        if label not in left:
            raise SetupError(f"{path}: neither this file nor any other of its class can be read as an image")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise OSError(f"mode {image.mode} has no fixed range of values, so it is no picture")
    if image.mode.startswith("I;16"):
        # Pillow would clip 16 bits to 8, which leaves a white image.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _fitted(image: Image.Image, size: int, resize: str) -> Image.Image:
    """An image with both sides of `size` pixels."""
    if resize == "squash":
        return image.resize((size, size), Image.Resampling.BILINEAR)
    width, height, left, top = _middle(image.width, image.height, size)
    # Only what will be kept is computed: the box is the middle as it lies in the image before scaling.
    x, y = image.width / width, image.height / height
    box = (left * x, top * y, (left + size) * x, (top + size) * y)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _resized(images: Tensor, form: Form) -> Tensor:
    """Images (n, c, h, w) with both sides as `form` says; the same tensor where they are so already."""
    n, channels, height, width = images.shape
    size = form.size
    if size is None or (height, width) == (size, size):
        return images
    across, down, left, top = _middle(width, height, size) if form.resize == "crop" else (size, size, 0, 0)
    result = images.new_empty(n, channels, size, size)
    for batch in _batches(images):
        scaled = functional.interpolate(images[batch].float(), (down, across), mode="bilinear", antialias=True)
        middle = scaled[:, :, top : top + size, left : left + size]
        result[batch] = middle if images.is_floating_point() else middle.round()
    return result


def _batches(images: Tensor) -> Iterator[slice]:
    n = max(1, BATCH // images[0].numel())
    return (slice(start, start + n) for start in range(0, len(images), n))


def _middle(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Width and height when the shorter of them is `size`; left and top of the middle `size` pixels a side of that."""
    shorter = min(width, height)
    width, height = size * width // shorter, size * height // shorter
    return width, height, round((width - size) / 2), round((height - size) / 2)
