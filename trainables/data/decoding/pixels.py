"""Decoding of image files to RGB, resizing of one image, and a thread pool to do both for many files.

An image is turned by its EXIF orientation. Transparent pixels get the colour that is stored for them, unless a
`background` is given. Grey values of more than 8 bits are scaled to 8.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from trainables.data.decoding.opening import DEFAULT, DecodingOptions, NoImage, opened

VERSION = 3
"""A part of the keys in the store. Increase it if files decode to other pixels than before, to discard old entries."""
BLOCK = 32
"""The number of files that a thread reads in one task."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn the stored pixels upright, for each EXIF orientation except 1, which is upright."""
OPPOSITE = {6: 8, 8: 6}
"""The orientations whose opposite is another one. Each of the others is its own opposite."""

TRUNCATED_HINT = "; `tolerate_truncated: true` reads what is there"
"""The end of the message about a file that ends too early, for those who can set this option."""

Result = TypeVar("Result")


def read(path: Path, options: DecodingOptions = DEFAULT) -> Image.Image:
    """Return the image in a file as RGB, 8 bits a channel.

    Raises NoImage if the content of the file is not an image, or one that `options` do not allow. Raises another
    OSError if the file cannot be read.
    """
    try:
        with opened(path, options) as image:
            return _decode(image, options)
    except (MemoryError, NoImage):
        raise
    except Exception as error:
        # For broken files, the decoders of Pillow raise exceptions of many types.
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.strerror) from error
        raise NoImage(_describe(error, options)) from error


def _describe(error: Exception, options: DecodingOptions) -> str:
    """Return the reason why a file cannot be decoded, and the option that may help."""
    if isinstance(error, UnidentifiedImageError):
        return "it is no image of a known format"
    # Pillow raises a plain OSError with a sentence of its own. The other types say more than their text.
    text = str(error) if type(error) is OSError and str(error) else f"{type(error).__name__}: {error}"
    if "truncated" in text.lower() and not options.tolerate_truncated:
        return f"{text}{TRUNCATED_HINT}"
    return text


def _decode(image: Image.Image, options: DecodingOptions) -> Image.Image:
    """Return an opened image as RGB: upright, with 8 bits a channel, and without transparency."""
    orientation, is_tiff = 1, isinstance(image, TiffImageFile)
    if is_tiff and not options.exif_orientation:
        # Pillow turns TIFF images while it loads them, and no others. Here it is turned back.
        orientation = _orientation(image)
        orientation = OPPOSITE.get(orientation, orientation)
    image.load()
    if options.exif_orientation and not is_tiff:
        orientation = _orientation(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    image = _opaque(image, options.background)
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8. It is 1 if there is none or if the EXIF data are broken.

    `ImageOps.exif_transpose` is not used, because it also writes the EXIF data anew, which fails for many that can be
    read.
    """
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # broken EXIF data raise exceptions of many types
        return 1
    return orientation if orientation in TURNS else 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey values of 9 to 16 bits to 8. Pillow would clip them at 255, and most images would become white."""
    if image.mode in ("I", "F") and (image.mode, image.format) != ("I", "PPM"):
        raise NoImage(f"mode {image.mode} has no fixed range of values, so it is no picture: save it with 8 or 16 bits")
    values, n_bits, white_is_zero = np.asarray(image), 16, False
    if isinstance(image, TiffImageFile):
        n_bits = image.tag_v2.get(BITSPERSAMPLE, (16,))[0]
        white_is_zero = image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0  # Pillow inverts only 8 bits
    grey = (values >> (n_bits - 8)).astype(np.uint8)
    scaled = Image.fromarray(255 - grey if white_is_zero else grey)
    if "transparency" in image.info:
        opacity = np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)
        scaled.putalpha(Image.fromarray(opacity))
    return scaled


def _opaque(image: Image.Image, background: str | None) -> Image.Image:
    """Convert an image to RGB. `background` is the colour behind transparent pixels; None keeps their own colour."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":  # grey that is multiplied by its opacity, which Pillow converts only to LA
        image = image.convert("LA")
    image = image.convert("RGBA")
    if background is None:
        return image.convert("RGB")
    layers = Image.new("RGBA", image.size, background)
    layers.alpha_composite(image)
    return layers.convert("RGB")


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
