from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo.errors import MachineError, UserError
from hpo.training.checkpoint_urls import check_url, check_writable


@pytest.mark.parametrize("url", ["/shared/x", "file:///shared/x", "local:///shared/x", "ftp://host/folder"])
def test_an_absolute_path_or_a_known_url_is_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("notaurl", "--checkpoints notaurl: the path is relative, .*; write a URL such as s3://bucket/folder, or the"),
        ("file://rel", "--checkpoints file://rel: the path is relative, .*; write file:///shared/checkpoints"),
        ("local://rel/x", "write local:///shared/checkpoints"),
        ("s3://", "--checkpoints s3://: names no bucket or folder; write s3://bucket/folder"),
        ("s4://bucket", r"--checkpoints s4://bucket: unknown scheme s4://; did you mean s3://\? \(allowed: s3, gs, .*"),
        ("memory://x", "memory:// is the memory of one process"),
        ("oci://name/x", "its file system needs a package that is not installed"),
    ],
)
def test_another_form_is_an_error_that_says_what_is_allowed(url: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_url(url)


def test_a_folder_that_can_be_written_is_left_empty(tmp_path: Path) -> None:
    check_writable(f"file://{tmp_path}/shared/study")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_url(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--checkpoints .*/file: this machine cannot write there: NotADirectoryError"):
        check_writable(f"{tmp_path}/file/study")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is a device of Linux")
def test_a_full_disk_is_the_fault_of_the_machine(tmp_path: Path) -> None:
    import fsspec

    class Full(fsspec.AbstractFileSystem):  # type: ignore[misc]
        """A file system on a disk that is full."""

        protocol = "full"

        def makedirs(self, path: str, exist_ok: bool = False) -> None: ...

        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> None:
            with open("/dev/full", "wb", buffering=0) as device:
                device.write(value)

    fsspec.register_implementation("full", Full, clobber=True)
    with pytest.raises(MachineError, match=r"this machine cannot write there: OSError: .*No space left"):
        check_writable("full://bucket/study")
