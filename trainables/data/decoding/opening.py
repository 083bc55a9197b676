"""Opening of image files: by their content, within limits, and with the options that all of hpo's decoding obeys.

`trainables/data/decoding/pixels.py` makes pixels of an opened image.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError, features

BACKGROUNDS = ("white", "black")
NOT_PICTURES = ("BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "SPIDER", "WMF")
"""Formats that Pillow recognizes, but that need another program to be drawn or are no pictures."""
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""The brands in the header of a HEIF file."""


@dataclass(frozen=True)
class DecodingOptions:
    """How files become pixels. Each field is a hyperparameter of the same name."""

    exif_orientation: bool = True
    """Whether to turn an image as its EXIF orientation says. Cameras and phones store most pictures unturned."""
    background: str | None = None
    """The colour behind transparent pixels: white or black. None keeps the colour that is stored for them."""
    tolerate_truncated: bool = False
    """Whether an image whose file ends too early is read. What is missing becomes grey or black."""
    max_pixels: int = 178_956_970
    """The largest number of pixels of an image, by default that at which Pillow refuses one. A small file can decode to
    an image that fills the memory."""
    max_text_bytes: int = 2**26
    """The largest size of the text (or of the colour profile) in a PNG file, which is decompressed to read the file.
    The default is Pillow's limit for all text of a file; its limit for one chunk, 1 MiB, refuses sound files."""


DEFAULT = DecodingOptions()


class NoImage(OSError):
    """The content of a file is not an image, or not one that can be read here."""


class NotAllowed(NoImage):
    """A file is an image, but the options do not allow it, or a package that reads it is missing."""


@contextmanager
def opened(path: Path, options: DecodingOptions = DEFAULT) -> Iterator[ImageFile.ImageFile]:
    """Open an image file by its content. Only its header is read. Inside this context, Pillow obeys `options`.

    Raises NotAllowed if `options` do not allow the image, or if a package that reads it is missing, and another NoImage
    for a format that is no picture. Otherwise raises what Pillow raises: UnidentifiedImageError for another content,
    and any error for a broken file.
    """
    with _settings.of(options), _text_limit(options), _open(path) as image:
        if image.format in NOT_PICTURES:
            raise NoImage(f"it has the format {image.format}, which is no picture of pixels: convert it to PNG or JPEG")
        n_pixels = image.width * image.height
        if n_pixels > options.max_pixels:
            limit = f"`max_pixels` allows {options.max_pixels:,}"
            raise NotAllowed(f"it has {n_pixels:,} pixels, and {limit}: raise it if the file is sound")
        yield image


@contextmanager
def _text_limit(options: DecodingOptions) -> Iterator[None]:
    """Raise NotAllowed for too much text in a PNG file. Pillow raises a ValueError as it opens or decodes the file."""
    try:
        yield
    except ValueError as error:
        if "MAX_TEXT" not in str(error):
            raise
        limit = f"`max_text_bytes` allows ({options.max_text_bytes:,} bytes)"
        raise NotAllowed(f"it holds more text than {limit}: raise it if the file is sound") from error


def is_image(path: Path) -> bool:
    """Whether the content of a file is of an image format. Only its header is read, so the file may still be broken.

    A file is an image also if the package that reads it is missing, or if it exceeds a limit: reading it then says so.
    Raises OSError if the file cannot be opened.
    """
    try:
        with opened(path):
            return True
    except NoImage as error:
        return isinstance(error, NotAllowed)
    except Exception as error:  # for broken files, Pillow raises exceptions of many types
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        return False


def versions() -> str:
    """Return the releases of the packages that decode, for the keys in the store."""
    has_heif = importlib.util.find_spec("pillow_heif") is not None
    return f"{version('pillow')} {version('pillow-heif') if has_heif else 'none'}"


def _open(path: Path) -> ImageFile.ImageFile:
    """Open a file by its content. The package for HEIF is loaded when it is first needed."""
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        with open(path, "rb") as file:
            header = file.read(12)
        kind, brand = header[4:8], header[8:12]
        if kind == b"ftyp" and brand in (b"avif", b"avis") and not features.check("avif"):
            raise NotAllowed("AVIF images need a Pillow that is built with AVIF: pip install -U pillow") from None
        if kind != b"ftyp" or brand not in HEIF_BRANDS or "HEIF" in Image.OPEN:
            raise
    if importlib.util.find_spec("pillow_heif") is None:
        raise NotAllowed("HEIF images need the package pillow-heif: pip install 'hpo[heif]'")
    import pillow_heif

    pillow_heif.register_heif_opener()
    return Image.open(path)


class _PillowSettings:
    """Pillow's limits, which are global variables. They are set while images are read, and then restored.

    Threads with the same options read at the same time. A thread with others waits for them.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._n_readers = 0
        self._current: DecodingOptions | None = None
        self._before = self._present()

    @contextmanager
    def of(self, options: DecodingOptions) -> Iterator[None]:
        """Inside this context, Pillow obeys `options`. It counts no pixels, as `opened` does."""
        with self._condition:
            self._condition.wait_for(lambda: self._n_readers == 0 or self._current == options)
            if self._n_readers == 0:
                self._current, self._before = options, self._present()
                limit = options.max_text_bytes
                self._set((None, options.tolerate_truncated, limit, limit))
            self._n_readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._n_readers -= 1
                if self._n_readers == 0:
                    self._set(self._before)
                    self._condition.notify_all()

    @staticmethod
    def _present() -> tuple[int | None, bool, int, int]:
        png = PngImagePlugin
        return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, png.MAX_TEXT_CHUNK, png.MAX_TEXT_MEMORY

    @staticmethod
    def _set(values: tuple[int | None, bool, int, int]) -> None:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = values[:2]
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = values[2:]


_settings = _PillowSettings()
