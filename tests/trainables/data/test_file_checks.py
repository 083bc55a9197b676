"""What is found out about files once for each version of them."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.trainables.datasets import pictures
from trainables.data import file_checks
from trainables.data.decoding import DecodingOptions
from trainables.store import store


@pytest.fixture(params=["kept", "off"])
def _store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", "off" if request.param == "off" else str(tmp_path / "store"))


def written(folder: Path, n: int) -> list[Path]:
    paths = [folder / f"{number}.bin" for number in range(n)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * number)
    return paths


@pytest.mark.usefixtures("_store")
def test_a_hash_is_that_of_the_content_as_it_is_now(tmp_path: Path) -> None:
    paths = written(tmp_path, 5)

    def expected() -> list[str]:
        return [hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest() for path in paths]

    assert file_checks.content_hashes(paths) == expected()
    status = paths[3].stat()
    paths[3].write_bytes(b"new")  # of the same size, and with the old time of its last change
    os.utime(paths[3], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file_checks.content_hashes(paths) == expected()
    assert len(set(expected())) == 5


@pytest.mark.usefixtures("_store")
def test_a_file_that_cannot_be_opened_has_no_hash_until_it_can(tmp_path: Path) -> None:
    paths = [*written(tmp_path, 2), tmp_path / "missing.bin"]
    assert file_checks.content_hashes(paths)[2] == file_checks.MISSING
    paths[2].write_bytes(b"here")
    assert file_checks.MISSING not in file_checks.content_hashes(paths)
    assert file_checks.content_hashes([]) == []


@pytest.mark.usefixtures("_store")
def test_files_that_are_no_images_are_found_with_the_reason(tmp_path: Path) -> None:
    whole = pictures.saved(tmp_path / "whole", pictures.picture(0), pictures.picture(1)).paths
    broken = list(pictures.broken(tmp_path / "broken").values())
    for _ in range(2):
        found = file_checks.unreadable([*whole, *broken], DecodingOptions())
        assert [path for path, _ in found] == broken
        assert all(reason for _, reason in found)


@pytest.mark.usefixtures("_store")
def test_which_files_can_be_read_is_kept_apart_for_other_options(tmp_path: Path) -> None:
    paths = pictures.saved(tmp_path / "whole", pictures.picture(0, (4, 4)), pictures.picture(1, (5, 5))).paths
    assert not file_checks.unreadable(paths, DecodingOptions())
    assert [path for path, _ in file_checks.unreadable(paths, DecodingOptions(max_pixels=16))] == [paths[1]]


def test_files_that_were_checked_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "store"))
    paths = written(tmp_path, 3)
    first = file_checks.content_hashes(paths)
    disk = store.shared()
    assert disk is not None
    (entry,) = disk.entries()
    assert entry.words == "the hashes of 3 files"
    os.utime(disk.folder / f"{entry.name}.json", (0, 0))
    assert file_checks.content_hashes(paths) == first
    (opened,) = disk.entries()
    assert (opened.name, opened.used > 0) == (entry.name, True)
