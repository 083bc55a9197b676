import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.trainables.datasets.pictures import broken, files, picture, saved
from trainables.data.dataset import Files
from trainables.data.decoding import in_threads
from trainables.data.images import ImageFormat, load
from trainables.errors import SetupError


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.jpg", "it is no image of a known format"),
        ("text.jpg", "it is no image of a known format"),
        ("truncated.jpg", "truncated"),
        ("chunk.png", "SyntaxError: broken PNG file"),
        ("real.tif", "mode F has no fixed range of values"),
        ("missing.jpg", "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, name: str, reason: str) -> None:
    path = broken(tmp_path / "broken")[name]
    source = saved(tmp_path, picture(0))
    with pytest.raises(SetupError, match=rf"{name}: cannot be read as an image \(.*{reason}.*skip_unreadable: true"):
        load(Files((*source.paths, path), torch.tensor([0, 0])), ImageFormat(size=8))


def test_of_several_such_files_the_first_is_named(tmp_path: Path) -> None:
    paths = list(broken(tmp_path).values())
    with pytest.raises(SetupError, match=r"text.jpg: cannot be read"):
        load(files(paths[1], paths[0], paths[2]), ImageFormat(size=8))


def test_such_files_are_left_out_with_their_labels_where_that_is_asked_for(tmp_path: Path) -> None:
    whole, bad = saved(tmp_path, *(picture(i) for i in range(4))).paths, broken(tmp_path / "broken")
    source = files(
        bad["text.jpg"], whole[0], whole[1], bad["missing.jpg"], whole[2], whole[3], labels=[0, 0, 1, 1, 2, 0]
    )
    part = load(source, ImageFormat(size=8, skip_unreadable=True))
    assert torch.equal(part.images, load(files(*whole), ImageFormat(size=8)).images)
    assert part.labels.tolist() == [0, 1, 2, 0]


def test_a_class_must_keep_an_image(tmp_path: Path) -> None:
    source = files(*saved(tmp_path, picture(0)).paths, *broken(tmp_path / "broken").values(), labels=[0, *[1] * 6])
    with pytest.raises(SetupError, match=r"empty.jpg: neither this file nor any other of its class can be read"):
        load(source, ImageFormat(size=8, skip_unreadable=True))


def test_an_error_in_a_thread_ends_them_all() -> None:
    begun, before = [], threading.active_count()

    def read(i: int) -> None:
        begun.append(i)
        if i == 5:
            raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        list(in_threads(read, 100_000))
    assert len(begun) < 100_000
    assert threading.active_count() == before


def test_whoever_stops_listening_ends_them_all() -> None:
    begun: list[int] = []
    results = in_threads(begun.append, 100_000)
    next(results)
    results.close()
    assert len(begun) < 100_000


def test_where_memory_is_short_no_file_is_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(image: Image.Image, mode: str) -> Image.Image:
        raise MemoryError

    source = saved(tmp_path, picture(0))
    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(MemoryError):
        load(source, ImageFormat(size=8, skip_unreadable=True))


def test_the_images_that_can_be_read_keep_their_groups(tmp_path: Path) -> None:
    unreadable = tmp_path / "unreadable.jpg"
    unreadable.write_bytes(b"no image")
    paths = saved(tmp_path, *(picture(number) for number in range(3))).paths
    four = (paths[0], unreadable, *paths[1:])
    part = load(
        Files(four, torch.zeros(4, dtype=torch.int64), groups=tuple("abca")), ImageFormat(8, skip_unreadable=True)
    )
    assert part.groups is not None
    assert part.groups.tolist() == [0, 1, 0]
