"""A checksum that finds content that was written only in part. It takes a tenth of the time of a CRC of the content."""

from __future__ import annotations

import zlib

N_COLUMNS = 64
"""The number of 8-byte words in a row. All rows are added up."""


def checksum(fields: bytes, content: bytes | memoryview) -> int:
    """Return the CRC of `fields`, of the sum of all whole rows of the content, and of the bytes that are left."""
    import numpy as np

    n_rows = len(content) // (8 * N_COLUMNS)
    result = zlib.crc32(fields)
    if n_rows:
        rows = np.frombuffer(content, "<u8", n_rows * N_COLUMNS).reshape(n_rows, N_COLUMNS)
        result = zlib.crc32(rows.sum(axis=0, dtype=np.uint64), result)
    return zlib.crc32(content[8 * N_COLUMNS * n_rows :], result)
