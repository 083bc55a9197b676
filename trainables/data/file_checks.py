"""Hashes of files and of images, and which files can be read as images: computed once for each version of a file.

The results are stored on disk (`trainables/store/store.py`). Their key holds the path, size, inode and times of each
file, as in `images.signature`. The files are stored in groups, so one changed file does not discard all results.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from trainables.data import decoding, images
from trainables.data.decoding import DecodingOptions
from trainables.store import store
from trainables.threads import n_cores

HASH_BYTES = 8
"""Enough to notice a change. It is no protection against somebody who wants two files to have one hash."""
PERCEPTUAL_BYTES = 8
FILES_PER_GROUP = 4096
"""About so many files share one entry of the store."""
READ_BYTES = 2**20

MISSING = ""
"""The hash of a file that cannot be opened."""


def content_hashes(paths: Sequence[Path]) -> list[str]:
    """Return a hash of the content of each file, as hexadecimal digits, or MISSING if it cannot be opened."""
    rows = _stored(paths, "hashes", (), HASH_BYTES, _hash_file)
    return [MISSING if row is None else row.hex() for row in rows]


def unreadable(paths: Sequence[Path], options: DecodingOptions) -> list[tuple[Path, str]]:
    """Return the files that cannot be read as images with `options`, each with the reason."""
    versions = (options, decoding.versions(), decoding.VERSION)
    rows = _stored(paths, "readability", versions, 1, lambda path: _try_to_read(path, options))
    found = []
    for path, row in zip(paths, rows, strict=True):
        if row != b"\1":
            try:
                decoding.read(path, options)
            except OSError as error:
                found.append((path, str(error)))
    return found


def perceptual_hashes(paths: Sequence[Path], options: DecodingOptions) -> list[bytes | None]:
    """Return the 64-bit perceptual hash of each image, 8 bytes, or None if it cannot be read with `options`.

    It is the `phash` of the library imagehash: images that look alike have hashes that differ in few bits.
    """
    import imagehash  # it imports scipy, which takes a second

    def compute(path: Path) -> bytes:
        try:
            image = decoding.read(path, options)
        except decoding.NoImage:
            return bytes(1 + PERCEPTUAL_BYTES)
        return b"\1" + np.packbits(imagehash.phash(image).hash).tobytes()

    versions = (options, decoding.versions(), decoding.VERSION, imagehash.__version__)
    rows = _stored(paths, "perceptual-hashes", versions, 1 + PERCEPTUAL_BYTES, compute)
    return [row[1:] if row is not None and row[0] else None for row in rows]


class _CannotOpen(Exception):
    """A file could not be opened. This may be temporary, so nothing is stored."""


def _stored(
    paths: Sequence[Path], kind: str, versions: tuple[object, ...], width: int, compute: Callable[[Path], bytes]
) -> list[bytes | None]:
    """Return `compute(path)` for each file, `width` bytes, from the store if they are there. None for an OSError.

    `versions` are further parts of the key.
    """
    n_groups = 1 << max(0, (len(paths) - 1) // FILES_PER_GROUP).bit_length()
    groups: list[list[int]] = [[] for _ in range(n_groups)]
    for i, path in enumerate(paths):
        digest = hashlib.blake2b(os.fsencode(path), digest_size=4).digest()
        groups[int.from_bytes(digest, "big") % n_groups].append(i)
    results: list[bytes | None] = [None] * len(paths)
    for group in filter(None, groups):
        for i, row in zip(group, _rows([paths[i] for i in group], kind, versions, width, compute), strict=True):
            results[i] = row
    return results


def _rows(
    paths: Sequence[Path], kind: str, versions: tuple[object, ...], width: int, compute: Callable[[Path], bytes]
) -> list[bytes | None]:
    """`_stored` for the files of one group."""

    def attempt(i: int) -> bytes | None:
        try:
            return compute(paths[i])
        except OSError:
            return None

    def fill(content: store.Bytes, advance: store.Advance) -> None:
        rows = content.reshape(len(paths), width)
        for i, row in enumerate(decoding.in_threads(attempt, len(paths), n_cores())):
            if row is None:
                raise _CannotOpen
            rows[i] = np.frombuffer(row, dtype=np.uint8)
            advance((i + 1) / len(paths))

    disk = store.shared()
    if disk is not None:
        key = (images.signature(paths), width, *versions)
        try:
            found = disk.get(kind, key, len(paths) * width, f"the {kind} of {len(paths):,} files", fill)
        except _CannotOpen:
            found = None
        if found is not None:
            return [row.tobytes() for row in found.content.reshape(len(paths), width)]
    return list(decoding.in_threads(attempt, len(paths), n_cores()))


def _hash_file(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.digest()


def _try_to_read(path: Path, options: DecodingOptions) -> bytes:
    """Return 1 if a file can be read as an image, or 0. Raises another OSError if it cannot be opened."""
    try:
        decoding.read(path, options)
    except decoding.NoImage:
        return b"\0"
    return b"\1"
