"""Loading of images in one format: reading files, resizing, adapting the channels; and statistics of the pixels.

Decoded and resized images are stored on disk (`trainables/store/store.py`), so that they are computed only once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainables.data import decoding, group_numbers
from trainables.data.dataset import Files, Part, Source
from trainables.data.decoding import DecodingOptions
from trainables.errors import SetupError, printable
from trainables.store import store
from trainables.threads import all_cores, n_cores

RESIZES = ("crop", "squash")
VALUES_PER_BATCH = 2**18
"""The number of pixel values that are resized or summed at a time: few enough to fit into the cache of a processor."""
MIN_STORED_BYTES = 2**24
"""The least size of resized images that are stored on disk, if they were in memory before. Files are always stored."""


@dataclass(frozen=True)
class ImageFormat:
    """The format that images are loaded in. Raises ValueError if a value is not allowed."""

    size: int | None = None
    """The height and the width, in pixels. None keeps the size of images that are in memory; files need a size."""
    channels: int | None = None
    """The number of channels. None keeps them. Images from files have 3."""
    resize: str = "crop"
    """crop: resize the shorter side to `size`, then crop the centre. squash: resize both sides to `size`."""
    skip_unreadable: bool = False
    """Whether files that cannot be read as images are left out. If false, the first of them raises an error."""
    decoding: DecodingOptions = decoding.DEFAULT
    """How files become pixels."""

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"`image_size` must be a whole number of at least 1, but is {self.size!r}")
        if self.resize not in RESIZES:
            raise ValueError(f"`resize` must be one of {', '.join(RESIZES)}, but is {self.resize!r}")


def load(source: Source, image_format: ImageFormat) -> Part:
    """Load the images of `source` in `image_format`, in order. They are in memory, or memory-mapped from the store.

    The images are uint8, or float32 if `source` is a Part of float32. Resizing is bilinear with antialiasing.

    Raises ValueError if files have no size to be resized to, or if colour images would have to become grey. Raises
    SetupError if a file cannot be read. With `skip_unreadable`, that is raised only if no file of a class can be read.
    """
    if isinstance(source, Files):
        _check_channels(3, image_format)
        return _read(source, image_format)
    _check_channels(source.shape[0], image_format)
    images, key = _resized(source, image_format)
    if image_format.channels is not None and images.shape[1] != image_format.channels:
        # `expand` makes a view, so the repeated channel takes no memory.
        images, key = images.expand(-1, image_format.channels, -1, -1), f"{key or source.key}/{image_format.channels}"
    if images is source.pool:
        return source
    return Part(images, source.labels, rows=source.rows, key=key, groups=source.groups)


def statistics(part: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation of each channel, over all pixels of the part, scaled to 0..1.

    They are computed in one pass with float64 sums, and cached for as long as the part exists. The standard deviation
    is that of the population: the sum of squares is divided by n, not by n - 1.
    """
    if part not in _cached_statistics:
        _cached_statistics[part] = _compute_statistics(part)
    return _cached_statistics[part]


_cached_statistics: WeakKeyDictionary[Part, tuple[tuple[float, ...], tuple[float, ...]]] = WeakKeyDictionary()
"""The cached statistics of the parts that exist."""


def _compute_statistics(part: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    channels = part.shape[0]
    sums, squares = torch.zeros(2, channels, dtype=torch.float64)
    for batch in _batches(len(part), prod(part.shape)):
        values = part.batch(batch).to("cpu", torch.float64).flatten(2)
        sums += values.sum(2).sum(0)
        squares += values.square().sum(2).sum(0)
    n = len(part) * prod(part.shape[1:])
    maximum = 255 if part.pool.dtype == torch.uint8 else 1
    mean = sums / n
    std = (squares / n - mean.square()).clamp(min=0).sqrt()
    return tuple((mean / maximum).tolist()), tuple((std / maximum).tolist())


def _check_channels(present: int, image_format: ImageFormat) -> None:
    if image_format.channels not in (None, present) and present != 1:
        raise ValueError(
            f"`model` needs images of {image_format.channels} channels, but those of the data set have {present}"
        )


def _read(files: Files, image_format: ImageFormat) -> Part:
    """Load the images of files: memory-mapped from the store if possible, otherwise in memory.

    The store holds the images of all files in `files.whole`, so the part is a selection of them.
    """
    if image_format.size is None:
        raise ValueError(
            "`image_size` must be given for a data set of files, whose images may differ in size, if the model has no "
            "size of its own: add it to `fixed`, as `image_size: 32`"
        )
    whole = files.whole or files.paths
    stored = _stored(whole, image_format, image_format.size)
    if stored is None:
        pixels = np.empty((len(files), 3, image_format.size, image_format.size), dtype=np.uint8)
        unreadable = _read_into(files.paths, image_format, pixels)
        rows = [i for i in range(len(files)) if i not in unreadable]
        _check_classes(files, rows)
        # The gaps of unreadable files are closed in place, because a second copy may not fit into memory.
        for row, i in enumerate(rows if unreadable else ()):
            pixels[row] = pixels[i]
        return Part(torch.from_numpy(pixels[: len(rows)]), files.labels[rows], groups=_groups(files, rows))
    images, unreadable, key = stored
    row_of = {path: row for row, path in enumerate(whole)}
    all_rows = [row_of[path] for path in files.paths]
    readable = [i for i, row in enumerate(all_rows) if row not in unreadable]
    _check_classes(files, readable)
    rows = [all_rows[i] for i in readable]
    is_all = rows == list(range(len(whole)))
    selected = None if is_all else torch.tensor(rows)
    return Part(images, files.labels[readable], rows=selected, key=key, groups=_groups(files, readable))


def _groups(files: Files, readable: Sequence[int]) -> Tensor | None:
    """The numbers of the groups of some of the files, int64 (n,). None without groups."""
    return torch.tensor(group_numbers.numbers([files.groups[i] for i in readable])) if files.groups else None


def _stored(paths: Sequence[Path], image_format: ImageFormat, size: int) -> tuple[Tensor, frozenset[int], str] | None:
    """Return the images of files from the store, the indices of unreadable files, and the key of the images.

    Images that are not stored yet are computed and stored. The key depends on the paths, sizes and times of the files,
    and on `image_format`.

    Returns None if there is no store. Also returns None if a file that would be left out could not be opened, because
    that may be temporary and must not be stored.
    """
    disk = store.shared()
    if disk is None:
        return None
    shape = (len(paths), 3, size, size)

    def fill(content: store.Bytes, advance: Callable[[float], None]) -> dict[str, list[int]]:
        unreadable = _read_into(paths, image_format, content.reshape(shape), advance, n_cores())
        for i in sorted(unreadable):
            try:
                decoding.read(paths[i], image_format.decoding)
            except decoding.NoImage:
                continue
            except OSError as error:
                raise _CannotOpen from error
            raise _CannotOpen
        return {"unreadable": sorted(unreadable)}

    key = (signature(paths), repr(image_format), decoding.versions(), decoding.VERSION)
    try:
        found = disk.get("pixels", key, prod(shape), f"{len(paths)} images of {size} pixels a side", fill)
    except _CannotOpen:
        return None
    if found is None:
        return None
    pixels = torch.from_numpy(found.content).reshape(shape)
    return pixels, frozenset(found.notes["unreadable"]), _hash_of(key)


def _read_into(
    paths: Sequence[Path],
    image_format: ImageFormat,
    pixels: np.ndarray[Any, np.dtype[np.uint8]],
    advance: Callable[[float], None] = lambda done: None,
    n_threads: int | None = None,
) -> frozenset[int]:
    """Read files into `pixels` (n, 3, size, size). Return the indices of those that cannot be read."""
    size = pixels.shape[-1]

    def read(i: int) -> bool:
        try:
            image = decoding.read(paths[i], image_format.decoding)
        except OSError as error:
            if image_format.skip_unreadable:
                return False
            remedy = "mend or remove it, or set `skip_unreadable: true` to leave such files out"
            raise SetupError(f"{printable(str(paths[i]))}: cannot be read as an image ({error}); {remedy}") from error
        pixels[i] = np.asarray(decoding.resize_image(image, size, image_format.resize)).transpose(2, 0, 1)
        return True

    unreadable = []
    for i, is_readable in enumerate(decoding.in_threads(read, len(paths), n_threads)):
        advance((i + 1) / len(paths))
        if not is_readable:
            unreadable.append(i)
    return frozenset(unreadable)


class _CannotOpen(Exception):
    """A file could not be opened, or could be read at the second attempt. So its content may be an image."""


def signature(paths: Sequence[Path]) -> str:
    """Return a hash of the paths, sizes, times and inodes of files, which stands for their content."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = path.stat()
            state = f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        except OSError:
            state = "missing"
        digest.update(os.fsencode(f"{path.absolute()}\0{state}\0"))
    return digest.hexdigest()


def _check_classes(files: Files, readable: Sequence[int]) -> None:
    """Raise SetupError if none of the files of a class is among those with the indices `readable`."""
    remaining = set(files.labels[torch.as_tensor(readable, dtype=torch.int64)].tolist())
    for path, label in zip(files.paths, files.labels.tolist(), strict=True):
        if label not in remaining:
            raise SetupError(
                f"{printable(str(path))}: neither this file nor any other of its class can be read as an image"
            )


def _resized(part: Part, image_format: ImageFormat) -> tuple[Tensor, str]:
    """Return the images of a part's pool, resized to `image_format`, and their key.

    If there are many, they are memory-mapped from the store. Returns the pool itself and an empty key if its images
    have that size already.
    """
    channels, height, width = part.shape
    size = image_format.size
    if size is None or (height, width) == (size, size):
        return part.pool, ""
    shape, dtype = (len(part.pool), channels, size, size), part.pool.dtype
    n_bytes = prod(shape) * dtype.itemsize
    disk = store.shared() if n_bytes >= MIN_STORED_BYTES else None
    key = (part.key, size, image_format.resize, torch.__version__, decoding.VERSION)

    def fill(content: store.Bytes, advance: Callable[[float], None]) -> None:
        with all_cores():
            _resize(part.pool, image_format, torch.from_numpy(content).view(dtype).reshape(shape), advance)

    found = None
    if disk is not None:
        found = disk.get("pixels", key, n_bytes, f"{shape[0]} images of {size} pixels a side", fill)
    if found is not None:
        return torch.from_numpy(found.content).view(dtype).reshape(shape), _hash_of(key)
    result = part.pool.new_empty(shape)
    _resize(part.pool, image_format, result)
    return result, _hash_of(key)


def _resize(
    images: Tensor, image_format: ImageFormat, result: Tensor, advance: Callable[[float], None] = lambda done: None
) -> None:
    """Resize images (n, channels, height, width) into `result`, (n, channels, size, size)."""
    height, width = images.shape[2:]
    size = result.shape[-1]
    new_width, new_height, left, top = (
        decoding.center_crop(width, height, size) if image_format.resize == "crop" else (size, size, 0, 0)
    )
    for batch in _batches(len(images), images[0].numel()):
        resized = functional.interpolate(
            images[batch].float(), (new_height, new_width), mode="bilinear", antialias=True
        )
        cropped = resized[:, :, top : top + size, left : left + size]
        result[batch] = cropped if images.is_floating_point() else cropped.round()
        advance(batch.stop / len(images))


def _hash_of(key: Sequence[object]) -> str:
    """Return a hash of the values that determine some images."""
    return hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()


def _batches(n: int, n_values: int) -> Iterator[slice]:
    """Return slices of `n` images that have `n_values` pixel values each."""
    step = max(1, VALUES_PER_BATCH // n_values)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
