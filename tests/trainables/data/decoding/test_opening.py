import importlib.util
import threading
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

    def tolerate() -> None:
        with opened(tmp_path / "a.png", DecodingOptions(tolerate_truncated=True)):
            seen.append(ImageFile.LOAD_TRUNCATED_IMAGES)

    thread = threading.Thread(target=tolerate)
    with opened(tmp_path / "a.png"):
        thread.start()
        thread.join(0.1)
        assert not seen
        assert not ImageFile.LOAD_TRUNCATED_IMAGES
    thread.join()
    assert seen == [True]
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
