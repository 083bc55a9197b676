"""Images that look almost the same but are in different parts, found by perceptual hashes.

The hash is the 64-bit `phash` of the library imagehash: which of the 64 lowest frequencies of the image lie above their
median, in grey and resized to 32 x 32 pixels. The distance of two images is the number of bits in which their hashes
differ: 0 to 64. It hardly depends on size, compression and colour, and little on contrast. A brighter image or a
margin of 2 % cut off is often not found, a larger crop or a mirrored image hardly ever.

Drawings and photographs of an object on a white background have similar hashes, too. See `DISTANCE`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data import dataset_report, file_checks
from trainables.data.dataset import Files, Source
from trainables.data.decoding import DecodingOptions
from trainables.errors import printable

DISTANCE = 4
"""The largest distance of near-copies by default.

Of 300 photographs of Caltech-101 and 300 cartoons of PACS, all copies of half the size or of JPEG quality 20 have at
most 4 bits of distance, and at least 97 of 100 copies with the contrast times 0.7 or 1.4. With the brightness times
1.3, 86 of 100 photographs and 62 of 100 cartoons do; with 2 % cut off on each side, 62 and 50; with 5 %, 6 and 2.

Other images are also this close. `docs/own_data.md` says what the pairs of each distance are.
"""
MAX_DISTANCE = 16
"""The largest distance that may be asked for. Of two images that have nothing in common, about 32 bits differ."""
MAX_LISTED = 100_000
"""The largest number of pairs that are listed by default. All are counted."""
ROWS_PER_BLOCK = 256
"""The number of images of a part that are compared with all images of another at a time."""


@dataclass(frozen=True)
class Copy:
    """One image of a pair."""

    path: str
    part: str
    class_name: str


@dataclass(frozen=True)
class NearCopies:
    """A pair of similar images in different parts."""

    distance: int
    """The number of bits in which the hashes differ."""
    first: Copy
    second: Copy


@dataclass(frozen=True)
class Found:
    """The near-copies between the parts of a data set."""

    n: int
    """The number of pairs."""
    pairs: tuple[NearCopies, ...]
    """The pairs, those of the smallest distance first. If there are very many, only the closest are listed."""


def find(
    parts: Mapping[str, Source],
    classes: Sequence[str],
    options: DecodingOptions,
    *,
    distance: int = DISTANCE,
    max_listed: int = MAX_LISTED,
) -> Found:
    """Find the pairs of images in different parts whose hashes differ in at most `distance` bits.

    Only image files are compared. Files that cannot be read are left out. If there are more than `max_listed` pairs,
    those of the smallest distances are listed.
    """
    files = {name: part for name, part in parts.items() if isinstance(part, Files)}
    hashed = {name: _hashes(part, options) for name, part in files.items()}
    n, found = 0, list[tuple[int, str, int, str, int]]()
    for first, second in combinations(files, 2):
        (rows, left), (columns, right) = hashed[first], hashed[second]
        for i, j, distances in _close_pairs(left, right, distance):
            n += len(i)
            closest = np.argsort(distances, kind="stable")[:max_listed]
            indices = zip(
                distances[closest].tolist(), rows[i[closest]].tolist(), columns[j[closest]].tolist(), strict=True
            )
            found += [(bits, first, row, second, column) for bits, row, column in indices]
            if len(found) > 2 * max_listed:  # not at each block: sorting takes time
                found = _closest(found, max_listed)
    found = _closest(found, max_listed)
    pairs = tuple(
        NearCopies(bits, _copy(files[first], row, first, classes), _copy(files[second], column, second, classes))
        for bits, first, row, second, column in found
    )
    return Found(n, pairs)


def _closest(found: list[tuple[int, str, int, str, int]], n: int) -> list[tuple[int, str, int, str, int]]:
    """The `n` pairs of the smallest distances, sorted by them."""
    return sorted(found, key=lambda pair: pair[0])[:n]


def lines(found: Found, distance: int) -> list[str]:
    """Return the number of pairs, and the first of them."""
    title = f"Exact and near copies in different parts (at most {distance} of 64 hash bits differ)"
    pairs = [
        f"{pair.distance:2} bits  {pair.first.part}: {pair.first.path}\n"
        f"           {pair.second.part}: {pair.second.path}"
        for pair in found.pairs[: dataset_report.N_SHOWN]
    ]
    text = dataset_report.listed(title, pairs, found.n)
    if found.n > len(found.pairs):
        text.append(f"These are very many: only the {len(found.pairs)} closest pairs are listed in the table")
    return text


def table(found: Found) -> pd.DataFrame:
    """Return the listed pairs as a table: the distance, and the path, part and class of both images."""
    columns: dict[str, list[object]] = {"distance": [pair.distance for pair in found.pairs]}
    for side in ("first", "second"):
        copies = [getattr(pair, side) for pair in found.pairs]
        columns[side] = [copy.path for copy in copies]
        columns[f"{side}_part"] = [copy.part for copy in copies]
        columns[f"{side}_class"] = [copy.class_name for copy in copies]
    return pd.DataFrame(columns)


def _copy(files: Files, index: int, part: str, classes: Sequence[str]) -> Copy:
    return Copy(printable(str(files.paths[index])), part, classes[int(files.labels[index])])


def _hashes(files: Files, options: DecodingOptions) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the indices of the files that can be read, and the hash of each of them."""
    found = file_checks.perceptual_hashes(files.paths, options)
    readable = np.array([i for i, each in enumerate(found) if each is not None], dtype=np.int64)
    return readable, np.frombuffer(b"".join(each for each in found if each is not None), dtype=np.uint64)


def _close_pairs(
    left: NDArray[np.uint64], right: NDArray[np.uint64], distance: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield the pairs of hashes of at most this distance, in blocks: their indices in both, and their distances."""
    for start in range(0, len(left), ROWS_PER_BLOCK):
        bits = np.bitwise_count(left[start : start + ROWS_PER_BLOCK, None] ^ right[None, :])
        rows, columns = np.nonzero(bits <= distance)
        yield rows + start, columns, bits[rows, columns]
