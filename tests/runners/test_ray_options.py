from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.runners._ray_options import read
from hpo.runners._ray_sync import Receiver, batches


def test_options_are_read_as_values(tmp_path: Path) -> None:
    options = read(
        address="auto", resources="gpu=1", checkpoint_url="file:///net/study", sync=f"{tmp_path}, {tmp_path}"
    )
    assert options.resources == {"GPU": 1.0}
    assert options.sync == (tmp_path, tmp_path)
    assert read().sync == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": 7}, "option address of the runner ray must be a text, but is 7"),
        ({"resources": " "}, "option resources of the runner ray must be a text"),
        ({"checkpoint_url": "s4://bucket"}, "checkpoints s4://bucket: Protocol not known: s4"),
        ({"checkpoint_url": "hdfs://name/x"}, "its file system needs a package that is not installed|hdfs"),
        ({"sync": "images"}, "ray-sync images: write the whole path"),
        ({"sync": "/no/such/folder"}, "ray-sync /no/such/folder: there is no such file or folder"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_option(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(**options)


@pytest.mark.parametrize("size", [1, 3, 10**6])
def test_a_folder_arrives_as_it_was_in_batches_of_any_size(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "there" / "target"
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "image.png").write_bytes(b"0123456789")
    (source / "a" / "b" / "empty").touch()
    (source / "link").symlink_to("a/image.png")
    (source / "a" / "loop").symlink_to(source)
    receiver = Receiver()
    assert receiver.begin(str(target), True)
    for batch in batches(source, size):
        assert not target.exists()
        receiver.add(batch)
    receiver.end()
    found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == {"a/image.png": b"0123456789", "a/b/empty": b"", "link": b"0123456789"}
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert not receiver.begin(str(target), True)


def test_a_single_file_arrives_too(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"weights")
    receiver = Receiver()
    assert receiver.begin(str(tmp_path / "new" / "weights.pth"), False)
    for batch in batches(tmp_path / "weights.pth", 2):
        receiver.add(batch)
    receiver.end()
    assert (tmp_path / "new" / "weights.pth").read_bytes() == b"weights"


def test_the_module_of_the_runner_imports_no_ray_and_no_torch() -> None:
    code = "import sys, hpo.runners.ray; print([name for name in ('ray', 'torch', 'fsspec') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
