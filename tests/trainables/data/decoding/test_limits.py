"""Files that end too early or exceed a limit, and the settings of Pillow while they are read."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from tests.trainables.datasets.pictures import picture
from trainables.data.decoding import DecodingOptions, NoImage, read


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_of_a_truncated_file_what_is_there_is_read_where_that_is_asked_for(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture(0, (64, 64)).save(path)
    whole = np.asarray(read(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(NoImage, match=r"truncated.*; `tolerate_truncated: true` reads what is there"):
        read(path)
    tolerant = np.asarray(read(path, DecodingOptions(tolerate_truncated=True)))
    assert tolerant.shape == whole.shape
    assert np.array_equal(tolerant[:8], whole[:8])
    assert not np.array_equal(tolerant[-8:], whole[-8:])


def test_to_tolerate_truncated_files_is_not_advised_where_it_is_done_already(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "whole.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "whole.png").read_bytes()[:20])
    messages = []
    for tolerant in (False, True):
        with pytest.raises(NoImage) as caught:
            read(tmp_path / "a.png", DecodingOptions(tolerate_truncated=tolerant))
        messages.append("tolerate_truncated" in str(caught.value))
    assert messages == [True, False]


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff"])
def test_what_is_no_image_stays_none_whatever_is_tolerated(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(NoImage):
        read(tmp_path / "a.jpg", DecodingOptions(tolerate_truncated=True))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif"])
def test_an_image_of_too_many_pixels_is_refused_in_one_clear_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture(0, (20, 10)).save(path)
    with pytest.raises(NoImage, match=r"^it has 200 pixels, and `max_pixels` allows 199: raise it if"):
        read(path, DecodingOptions(max_pixels=199))
    assert read(path, DecodingOptions(max_pixels=200)).size == (20, 10)


def png_of(width: int, height: int) -> bytes:
    """The header of a PNG file of one bit a pixel, whose pixels are missing."""
    header = struct.pack(">2I5B", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b""))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_the_limit_of_pixels_is_that_of_pillow_and_there_is_no_warning_below_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_of(20_000, 10_000))
    with pytest.raises(NoImage, match=r"it has 200,000,000 pixels, and `max_pixels` allows 178,956,970"):
        read(path)
    path.write_bytes(png_of(10_000, 10_000))
    with pytest.raises(NoImage, match="truncated"):  # and no DecompressionBombWarning, which would be an error here
        read(path)


@pytest.mark.parametrize("zip", [False, True])
def test_long_text_in_a_png_file_is_no_fault_and_its_limit_is_an_option(tmp_path: Path, zip: bool) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=zip)
    picture(0).save(tmp_path / "a.png", pnginfo=text)
    assert read(tmp_path / "a.png").tobytes() == picture(0).tobytes()
    with pytest.raises(NoImage, match=r"^it holds more text than `max_text_bytes` allows \(2,000,000 bytes\)"):
        read(tmp_path / "a.png", DecodingOptions(max_text_bytes=2_000_000))


def test_the_settings_of_pillow_are_afterwards_as_they_were(tmp_path: Path) -> None:
    def present() -> tuple[object, ...]:
        png = PngImagePlugin
        return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, png.MAX_TEXT_CHUNK, png.MAX_TEXT_MEMORY

    before = present()
    (tmp_path / "broken.jpg").write_bytes(b"")
    picture(0).save(tmp_path / "a.png")
    read(tmp_path / "a.png", DecodingOptions(tolerate_truncated=True, max_text_bytes=1))
    with pytest.raises(NoImage):
        read(tmp_path / "broken.jpg", DecodingOptions(tolerate_truncated=True))
    assert present() == before
