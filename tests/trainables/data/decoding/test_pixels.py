import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from tests.trainables.datasets.pictures import files, picture
from trainables.data.decoding import DecodingOptions, NoImage, read
from trainables.data.images import ImageFormat, load

UPRIGHT = {
    1: [[1, 2], [3, 4], [5, 6]],
    2: [[2, 1], [4, 3], [6, 5]],
    3: [[6, 5], [4, 3], [2, 1]],
    4: [[5, 6], [3, 4], [1, 2]],
    5: [[1, 3, 5], [2, 4, 6]],
    6: [[5, 3, 1], [6, 4, 2]],
    7: [[6, 4, 2], [5, 3, 1]],
    8: [[2, 4, 6], [1, 3, 5]],
}
"""What an image that is stored as the first of these shows, for each value of the EXIF tag Orientation."""


def tiles(numbers: list[list[int]]) -> Image.Image:
    """An image of grey squares of 16 x 16 pixels, each of 40 times its number."""
    return Image.fromarray(np.kron(np.array(numbers), np.full((16, 16), 40)).astype(np.uint8)).convert("RGB")


def numbers(image: Image.Image) -> list[list[int]]:
    """The numbers of the squares of `tiles`."""
    middles: list[list[int]] = np.rint(np.asarray(image)[8::16, 8::16, 0] / 40).astype(int).tolist()
    return middles


def turned(path: Path, orientation: int, **options: Any) -> Path:
    """A file of the first image of `UPRIGHT`, with an orientation in its EXIF data."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    tiles(UPRIGHT[1]).save(path, exif=exif, **options)
    return path


FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("a.jpg", {"quality": 95}),
    ("a.png", {}),
    ("a.webp", {"quality": 95}),
    ("a.tif", {}),
    ("b.tif", {"compression": "tiff_lzw"}),
    ("a.avif", {"quality": 95}),
]


@pytest.mark.parametrize(("name", "options"), FORMATS)
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_an_image_is_turned_once_as_its_exif_data_say_and_not_at_all_where_that_is_off(
    tmp_path: Path, name: str, options: dict[str, Any], orientation: int
) -> None:
    path = turned(tmp_path / name, orientation, **options)
    assert numbers(read(path)) == UPRIGHT[orientation]
    assert numbers(read(path, DecodingOptions(exif_orientation=False))) == UPRIGHT[1]


def test_the_orientation_may_stand_in_xmp_alone(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    tiles(UPRIGHT[1]).save(tmp_path / "a.jpg", quality=95, xmp=xmp)
    assert numbers(read(tmp_path / "a.jpg")) == UPRIGHT[6]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's, and it may come once
@pytest.mark.parametrize("exif", [b"Exif\0\0no exif data", b"Exif\0\0II*\0\x08\0\0\0\x01\0", b"Exif\0\0"])
def test_broken_exif_data_leave_an_image_as_it_is_stored(tmp_path: Path, exif: bytes) -> None:
    tiles(UPRIGHT[1]).save(tmp_path / "a.jpg", quality=95, exif=exif)
    assert numbers(read(tmp_path / "a.jpg")) == UPRIGHT[1]


def test_an_orientation_that_does_not_exist_is_none(tmp_path: Path) -> None:
    assert numbers(read(turned(tmp_path / "a.jpg", 9, quality=95))) == UPRIGHT[1]


def tiff(values: np.ndarray[Any, Any], n_bits: int, *, white_is_zero: bool = False, big_endian: bool = False) -> bytes:
    """An uncompressed grey TIFF of `n_bits` a pixel: 12, packed, or 16."""
    height, width = values.shape
    if n_bits == 12:
        bits = ["".join(f"{value:012b}" for value in row) for row in values]
        data = b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in bits)
    else:
        data = values.astype(">u2" if big_endian else "<u2").tobytes()
    end = ">" if big_endian else "<"
    short, long = 3, 4
    tags = [(256, short, width), (257, short, height), (258, short, n_bits), (259, short, 1)]
    tags += [(262, short, 0 if white_is_zero else 1), (273, long, 8), (277, short, 1), (278, short, height)]
    tags.append((279, long, len(data)))
    content = (b"MM\0*" if big_endian else b"II*\0") + struct.pack(f"{end}I", 8 + len(data)) + data
    content += struct.pack(f"{end}H", len(tags))
    for tag, kind, value in tags:
        content += struct.pack(f"{end}HHI", tag, kind, 1)
        content += struct.pack(f"{end}HH", value, 0) if kind == short else struct.pack(f"{end}I", value)
    return content + struct.pack(f"{end}I", 0)


def grey(part: float, most: int) -> np.ndarray[Any, Any]:
    return np.full((4, 4), round(part * most))


def pgm(values: np.ndarray[Any, Any], most: int) -> bytes:
    return b"P5 4 4 %d\n" % most + values.astype(">u2" if most > 255 else np.uint8).tobytes()


def encoded(kind: str, values: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(stream, kind)
    return stream.getvalue()


DEEP: dict[str, Callable[[float], bytes]] = {
    "TIFF of 12 bits": lambda part: tiff(grey(part, 4095), 12),
    "TIFF of 16 bits": lambda part: tiff(grey(part, 65535), 16),
    "TIFF of 16 bits, big-endian": lambda part: tiff(grey(part, 65535), 16, big_endian=True),
    "TIFF of 16 bits, white is zero": lambda part: tiff(grey(1 - part, 65535), 16, white_is_zero=True),
    "PGM of 16 bits": lambda part: pgm(grey(part, 65535), 65535),
    "PGM of 12 bits": lambda part: pgm(grey(part, 4095), 4095),
    "PGM of 10 bits": lambda part: pgm(grey(part, 1023), 1023),
    "PGM of 7 bits": lambda part: pgm(grey(part, 100), 100),
    "PGM as text": lambda part: b"P2 1 1 4095\n%d\n" % round(part * 4095),
    "PPM of 16 bits": lambda part: b"P6 1 1 65535\n" + struct.pack(">3H", *[round(part * 65535)] * 3),
    "PNG of 16 bits": lambda part: encoded("PNG", grey(part, 65535)),
    "JPEG 2000 of 16 bits": lambda part: encoded("JPEG2000", np.full((16, 16), round(part * 65535))),
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("part", [0, 0.25, 0.5, 0.75, 1])
def test_grey_of_more_than_8_bits_keeps_its_brightness(tmp_path: Path, name: str, part: float) -> None:
    path = tmp_path / "image"
    path.write_bytes(DEEP[name](part))
    assert read(path).getpixel((0, 0)) == pytest.approx([255 * part] * 3, abs=1)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_without_a_fixed_range_are_no_picture_and_the_message_says_what_to_do(
    tmp_path: Path, kind: type[np.generic]
) -> None:
    Image.fromarray(np.ones((4, 4), dtype=kind)).save(tmp_path / "a.tif")
    with pytest.raises(NoImage, match="has no fixed range of values, so it is no picture: save it with 8 or 16 bits"):
        read(tmp_path / "a.tif")


def transparent(mode: str) -> tuple[Image.Image, dict[str, Any]]:
    """A black image of which half is transparent, and what to save it with."""
    options: dict[str, Any] = {}
    if mode in ("RGBA", "LA", "PA"):
        image = Image.new("RGBA", (4, 4))
        image.paste((0, 0, 0, 255), (0, 0, 2, 4))
        return image.convert(mode), options
    image = Image.new("L", (4, 4), 0)
    image.paste(1 if mode in ("P", "1") else 255, (2, 0, 4, 4))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 256)
        return image, {"transparency": 255 * 256}
    if mode == "P":
        image = Image.fromarray(np.asarray(image), "L")
        image.putpalette([0, 0, 0, 0, 0, 0])
        return image, {"transparency": bytes([255, 0])}
    image = image.convert(mode) if mode == "RGB" else image
    return image, {"transparency": (255, 255, 255) if mode == "RGB" else 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB", "I;16"])
@pytest.mark.parametrize(("background", "value"), [("white", 255), ("black", 0)])
def test_a_background_shows_where_an_image_is_transparent(
    tmp_path: Path, mode: str, background: str, value: int
) -> None:
    image, options = transparent(mode)
    image.save(tmp_path / "a.png", **options)
    shown = read(tmp_path / "a.png", DecodingOptions(background=background))
    assert (shown.mode, shown.getpixel((0, 0)), shown.getpixel((3, 0))) == ("RGB", (0, 0, 0), (value,) * 3)


@pytest.mark.parametrize(("mode", "colour"), [("LA", (200, 128)), ("RGBA", (200, 200, 200, 128))])
def test_colours_that_are_stored_multiplied_by_their_opacity_are_divided_by_it(
    tmp_path: Path, mode: str, colour: tuple[int, ...]
) -> None:
    stored = Image.new(mode, (4, 4), (*(value // 2 for value in colour[:-1]), 128))
    stored.save(tmp_path / "a.tif")
    extra_samples = struct.pack("<HHI", 338, 3, 1)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content.replace(extra_samples + b"\2", extra_samples + b"\1"))
    assert read(tmp_path / "a.tif").getpixel((0, 0)) == pytest.approx((200,) * 3, abs=2)
    on_white = read(tmp_path / "a.tif", DecodingOptions(background="white"))
    assert on_white.getpixel((0, 0)) == pytest.approx((227,) * 3, abs=2)


def test_half_transparent_is_half_of_the_background(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "a.png")
    shown = read(tmp_path / "a.png", DecodingOptions(background="white"))
    assert shown.getpixel((0, 0)) == pytest.approx((127, 127, 127), abs=1)
    assert read(tmp_path / "a.png").getpixel((0, 0)) == (0, 0, 0)


def test_a_background_changes_no_opaque_image(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.png")
    shown = read(tmp_path / "a.png", DecodingOptions(background="white"))
    assert shown.tobytes() == read(tmp_path / "a.png").tobytes()


@pytest.mark.parametrize(
    "options",
    [
        DecodingOptions(exif_orientation=False),
        DecodingOptions(background="white"),
        DecodingOptions(tolerate_truncated=True),
        DecodingOptions(max_pixels=100 * 100),
        DecodingOptions(max_text_bytes=1000),
    ],
)
def test_the_store_keeps_the_images_of_each_option_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: DecodingOptions
) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "store"))
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 2000, zip=True)
    images = tmp_path / "images"
    images.mkdir()
    picture(0, (8, 8)).save(images / "sound.png")
    turned(images / "turned.png", 6)
    Image.new("RGBA", (8, 8)).save(images / "transparent.png")
    picture(1, (120, 120)).save(images / "large.png")
    picture(2, (8, 8)).save(images / "text.png", pnginfo=text)
    picture(3, (64, 64)).save(images / "torn.jpg")
    (images / "torn.jpg").write_bytes((images / "torn.jpg").read_bytes()[:2000])
    source = files(*sorted(images.iterdir()))
    first = load(source, ImageFormat(8, skip_unreadable=True))
    other = load(source, ImageFormat(8, skip_unreadable=True, decoding=options))
    assert first.key != other.key
    assert len(first) != len(other) or not torch.equal(first.images, other.images)
