"""Images brought to one form: files read, sizes and channels made alike, statistics.

Files that are decoded, and images that are resized, are kept in the store (`trainables/store/store.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import PIL
import torch
from torch import Tensor
from torch.nn import functional

from trainables.data import decoding
from trainables.data.dataset import Files, Part, Source
from trainables.errors import SetupError
from trainables.store import store
from trainables.threads import all_cores, n_cores

RESIZES = ("crop", "squash")
BATCH = 2**18
"""Values of a part that are resized or summed up at a time: few enough to stay in a processor's cache."""
LEAST_BYTES = 2**24
"""Images that were in memory already are kept in the store where, resized, they take so much."""


@dataclass(frozen=True)
class ImageFormat:
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


def load(source: Source, image_format: ImageFormat) -> Part:
    """The images of `source`, in order and in one image_format: uint8, or float32 where a part has it.

    In memory, or mapped from the store.

    Sizes change by a bilinear filter that is widened where an image shrinks. A ValueError where a size
    is missing or colour would have to become grey; a SetupError names a file that cannot be read
    (`skip_unreadable`), or one of a class of which none can.
    """
    if isinstance(source, Files):
        _check_channels(3, image_format)
        return _read(source, image_format)
    _check_channels(source.shape[0], image_format)
    images, key = _resized(source, image_format)
    if image_format.channels is not None and images.shape[1] != image_format.channels:
        # A view: grey thrice over takes no more memory than once.
        images, key = images.expand(-1, image_format.channels, -1, -1), f"{key or source.key}/{image_format.channels}"
    return source if images is source.pool else Part(images, source.labels, rows=source.rows, key=key)


def statistics(part: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and the standard deviation a channel, of images as 0..1, over all pixels of the part.

    In one pass of float64 sums, once for each part. The deviation is that of these pixels themselves, not an
    estimate from a sample.
    """
    if part not in _statistics:
        _statistics[part] = _summed_up(part)
    return _statistics[part]


_statistics: WeakKeyDictionary[Part, tuple[tuple[float, ...], tuple[float, ...]]] = WeakKeyDictionary()
"""Of the parts that are in use."""


def _summed_up(part: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    channels = part.shape[0]
    sums, squares = torch.zeros(2, channels, dtype=torch.float64)
    for batch in _batches(len(part), prod(part.shape)):
        values = part.batch(batch).to("cpu", torch.float64).flatten(2)
        sums += values.sum(2).sum(0)
        squares += values.square().sum(2).sum(0)
    n = len(part) * prod(part.shape[1:])
    brightest = 255 if part.pool.dtype == torch.uint8 else 1
    mean = sums / n
    std = (squares / n - mean.square()).clamp(min=0).sqrt()
    return tuple((mean / brightest).tolist()), tuple((std / brightest).tolist())


def _check_channels(present: int, image_format: ImageFormat) -> None:
    if image_format.channels not in (None, present) and present != 1:
        raise ValueError(
            f"`model` needs images of {image_format.channels} channels, but those of the data set have {present}"
        )


def _read(files: Files, image_format: ImageFormat) -> Part:
    """The images of files: mapped from the store, with all that are read together with them, or in memory."""
    if image_format.size is None:
        raise ValueError("`image_size` must be given for a data set of files, whose images may differ in size")
    whole = files.whole or files.paths
    stored = _stored(whole, image_format, image_format.size)
    if stored is None:
        pixels = np.empty((len(files), 3, image_format.size, image_format.size), dtype=np.uint8)
        unreadable = _fill(files.paths, image_format, pixels)
        rows = [i for i in range(len(files)) if i not in unreadable]
        _check_classes(files, rows)
        # Closed up in place: a second copy may not fit in memory.
        for place, i in enumerate(rows if unreadable else ()):
            pixels[place] = pixels[i]
        return Part(torch.from_numpy(pixels[: len(rows)]), files.labels[rows])
    images, unreadable, key = stored
    place_of = {path: i for i, path in enumerate(whole)}
    places = [place_of[path] for path in files.paths]
    kept = [i for i, place in enumerate(places) if place not in unreadable]
    _check_classes(files, kept)
    rows = [places[i] for i in kept]
    is_all = rows == list(range(len(whole)))
    return Part(images, files.labels[kept], rows=None if is_all else torch.tensor(rows), key=key)


def _stored(paths: Sequence[Path], image_format: ImageFormat, size: int) -> tuple[Tensor, frozenset[int], str] | None:
    """The images of files from the store, which of them are unreadable, and their key; None without a store.

    They are found again by the places, sizes and times of the files, and the image_format. None, too, where a file
    to be left out could not be opened: another time it may be.
    """
    disk = store.shared()
    if disk is None:
        return None
    shape = (len(paths), 3, size, size)

    def fill(content: store.Bytes, advance: Callable[[float], None]) -> dict[str, list[int]]:
        unreadable = _fill(paths, image_format, content.reshape(shape), advance, n_cores())
        for i in sorted(unreadable):
            try:
                decoding.read(paths[i])
            except decoding.NoImage:
                continue
            except OSError as fault:
                raise _Unopened from fault
            raise _Unopened
        return {"unreadable": sorted(unreadable)}

    key = (_signature(paths), repr(image_format), PIL.__version__, decoding.VERSION)
    try:
        found = disk.get("pixels", key, prod(shape), f"{len(paths)} images of {size} pixels a side", fill)
    except _Unopened:
        return None
    if found is None:
        return None
    pixels = torch.from_numpy(found.content).reshape(shape)
    return pixels, frozenset(found.notes["unreadable"]), fingerprint_of(key)


def _fill(
    paths: Sequence[Path],
    image_format: ImageFormat,
    pixels: np.ndarray[Any, np.dtype[np.uint8]],
    advance: Callable[[float], None] = lambda done: None,
    n_threads: int | None = None,
) -> frozenset[int]:
    """Read files into `pixels` (n, 3, size, size); which of them cannot be read."""
    size = pixels.shape[-1]

    def fill(i: int) -> bool:
        try:
            image = decoding.read(paths[i])
        except OSError as fault:
            if image_format.skip_unreadable:
                return False
            remedy = "mend or remove it, or set `skip_unreadable: true` to leave such files out"
            raise SetupError(f"{paths[i]}: cannot be read as an image ({fault}); {remedy}") from fault
        pixels[i] = np.asarray(decoding.fitted(image, size, image_format.resize)).transpose(2, 0, 1)
        return True

    unreadable = []
    for i, filled in enumerate(decoding.in_threads(fill, len(paths), n_threads)):
        advance((i + 1) / len(paths))
        if not filled:
            unreadable.append(i)
    return frozenset(unreadable)


class _Unopened(Exception):
    """A file could not be opened, which says nothing of what is in it."""


def _signature(paths: Sequence[Path]) -> str:
    """What identifies files without reading them: where they lie, their sizes, and when they were last changed."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = path.stat()
            found = f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        except OSError:
            found = "missing"
        digest.update(f"{path.absolute()}\0{found}\0".encode())
    return digest.hexdigest()


def _check_classes(files: Files, kept: Sequence[int]) -> None:
    """A SetupError where a class has lost all its files."""
    left = set(files.labels[torch.as_tensor(kept, dtype=torch.int64)].tolist())
    for path, label in zip(files.paths, files.labels.tolist(), strict=True):
        if label not in left:
            raise SetupError(f"{path}: neither this file nor any other of its class can be read as an image")


def _resized(part: Part, image_format: ImageFormat) -> tuple[Tensor, str]:
    """The images of a part's pool with both sides as `form` says, and their key; the same where they are so already.

    From the store where they are many.
    """
    channels, height, width = part.shape
    size = image_format.size
    if size is None or (height, width) == (size, size):
        return part.pool, ""
    shape, dtype = (len(part.pool), channels, size, size), part.pool.dtype
    n_bytes = prod(shape) * dtype.itemsize
    disk = store.shared() if n_bytes >= LEAST_BYTES else None
    key = (part.key, size, image_format.resize, torch.__version__, decoding.VERSION)

    def fill(content: store.Bytes, advance: Callable[[float], None]) -> None:
        with all_cores():
            _resize(part.pool, image_format, torch.from_numpy(content).view(dtype).reshape(shape), advance)

    found = None
    if disk is not None:
        found = disk.get("pixels", key, n_bytes, f"{shape[0]} images of {size} pixels a side", fill)
    if found is not None:
        return torch.from_numpy(found.content).view(dtype).reshape(shape), fingerprint_of(key)
    result = part.pool.new_empty(shape)
    _resize(part.pool, image_format, result)
    return result, fingerprint_of(key)


def _resize(
    images: Tensor, image_format: ImageFormat, result: Tensor, advance: Callable[[float], None] = lambda done: None
) -> None:
    """Put images (n, c, h, w) into `result`, (n, c, size, size)."""
    height, width = images.shape[2:]
    size = result.shape[-1]
    across, down, left, top = (
        decoding.middle(width, height, size) if image_format.resize == "crop" else (size, size, 0, 0)
    )
    for batch in _batches(len(images), images[0].numel()):
        scaled = functional.interpolate(images[batch].float(), (down, across), mode="bilinear", antialias=True)
        middle = scaled[:, :, top : top + size, left : left + size]
        result[batch] = middle if images.is_floating_point() else middle.round()
        advance(batch.stop / len(images))


def fingerprint_of(key: Sequence[object]) -> str:
    """A hash of what images depend on."""
    return hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()


def _batches(n: int, n_values: int) -> Iterator[slice]:
    """Slices of n images of so many values each."""
    step = max(1, BATCH // n_values)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
