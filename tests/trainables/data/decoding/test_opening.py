import importlib.util
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from tests.trainables.datasets.pictures import picture
from trainables.data.decoding import DecodingOptions, NoImage, is_image, read
from trainables.data.decoding.opening import opened

HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40)
"""The header of a HEIF file."""
needs_heif = pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="pillow-heif is an extra")
without_heif = pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is not None, reason="pillow-heif is there")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "TGA", "JPEG2000", "AVIF", "PPM", "ICO"])
def test_an_image_is_known_by_its_content_whatever_its_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "no_suffix.of_an_image"
    picture(0, (16, 16)).save(path, format=kind)
    assert is_image(path)
    assert read(path).size == (16, 16)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"a,b\n1,2\n", b"<xml/>", b"%PDF-1.4\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", bytes(5000)],
)
def test_other_content_is_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert not is_image(tmp_path / "a")


def test_numbers_in_a_file_of_another_field_are_no_image(tmp_path: Path) -> None:
    Image.fromarray(np.ones((16, 16), dtype=np.float32)).save(tmp_path / "a", format="SPIDER")
    assert not is_image(tmp_path / "a")


def test_a_drawing_with_the_suffix_of_an_image_is_refused_by_its_format(tmp_path: Path) -> None:
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    for name in ("e.jpg", "e"):
        (tmp_path / name).write_bytes(content)
        assert not is_image(tmp_path / name)
        with pytest.raises(
            NoImage, match=r"^it has the format EPS, which is no picture of pixels: convert it to PNG or"
        ):
            read(tmp_path / name)


def test_an_image_beyond_a_limit_is_one_so_that_reading_it_names_the_limit(tmp_path: Path) -> None:
    header = zlib.compress(bytes(DecodingOptions().max_text_bytes + 1))
    picture(0).save(tmp_path / "a", format="PNG")
    content = (tmp_path / "a").read_bytes()
    chunk = b"zTXtkey\0\0" + header
    text = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a").write_bytes(content[:33] + text + content[33:])
    assert is_image(tmp_path / "a")
    with pytest.raises(NoImage, match="it holds more text than `max_text_bytes` allows"):
        read(tmp_path / "a")


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_image(tmp_path / "missing")


@without_heif
def test_a_heif_image_without_its_package_is_one_and_the_message_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(HEIC)
    assert is_image(tmp_path / "a.heic")
    with pytest.raises(NoImage, match=r"^HEIF images need the package pillow-heif: pip install 'hpo\[heif\]'$"):
        read(tmp_path / "a.heic")


@needs_heif
def test_a_heif_image_is_read_where_its_package_is_there(tmp_path: Path) -> None:
    import pillow_heif

    pillow_heif.from_pillow(picture(0, (64, 48))).save(tmp_path / "a.heic", quality=100)
    assert is_image(tmp_path / "a.heic")
    assert read(tmp_path / "a.heic").size == (64, 48)


@needs_heif
def test_a_broken_heif_image_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(HEIC)
    with pytest.raises(NoImage, match="it is no image of a known format"):
        read(tmp_path / "a.heic")


def test_threads_with_other_options_wait_for_each_other(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.png")
    seen: list[bool] = []

    started = threading.Event()

    def tolerate() -> None:
        started.set()
        with opened(tmp_path / "a.png", DecodingOptions(tolerate_truncated=True)):
            seen.append(ImageFile.LOAD_TRUNCATED_IMAGES)

    thread = threading.Thread(target=tolerate)
    with opened(tmp_path / "a.png"):
        thread.start()
        assert started.wait(60)
        thread.join(0.1)
        assert not seen
        assert not ImageFile.LOAD_TRUNCATED_IMAGES
    thread.join()
    assert seen == [True]
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
