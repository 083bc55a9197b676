"""Image files to pixels: opening a file by its content, decoding it to RGB, resizing it.

`opening` opens files and holds the options, `pixels` decodes and resizes. The rest of `trainables.data` imports this
package, and so do the data sets of files.
"""

from __future__ import annotations

from trainables.data.decoding.opening import (
    BACKGROUNDS,
    DEFAULT,
    DecodingOptions,
    NoImage,
    is_image,
    versions,
)
from trainables.data.decoding.pixels import TRUNCATED_HINT, VERSION, center_crop, in_threads, read, resize_image

__all__ = [
    "BACKGROUNDS",
    "DEFAULT",
    "TRUNCATED_HINT",
    "VERSION",
    "DecodingOptions",
    "NoImage",
    "center_crop",
    "in_threads",
    "is_image",
    "read",
    "resize_image",
    "versions",
]
