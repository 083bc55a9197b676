from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.runners._ray_options import read
from hpo.runners._ray_sync import Receiver, batches


def test_options_are_read_as_values(tmp_path: Path) -> None:
    given = {"address": "auto", "resources": "gpu=1", "checkpoint_url": "file:///net/study"}
    options = read({**given, "sync": f"{tmp_path}, {tmp_path}"})
    assert options.resources == {"GPU": 1.0}
    assert options.sync == (tmp_path, tmp_path)
    assert read({}).sync == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": 7}, "--ray-address must be a text, but is 7: write auto for"),
        ({"address": ""}, "--ray-address is empty: write auto for .*, or leave it out"),
        ({"resources": " "}, "--resources is empty: write name=number .*, or leave it out"),
        ({"checkpoint_url": "relative"}, "--checkpoints relative: the path is relative"),
        ({"checkpoint_url": ""}, "--checkpoints is empty: write a URL such as s3://bucket/folder, .* or leave it out"),
        ({"sync": ""}, "--ray-sync is empty: write whole paths"),
        ({"sync": " , ,"}, "--ray-sync , ,: names no path; write whole paths .*, or leave it out"),
        ({"sync": "images"}, "--ray-sync images: write the whole path"),
        ({"sync": "/no/such/folder"}, "--ray-sync /no/such/folder: there is no such file or folder"),
        ({"resources": "license=1", "address": "local"}, "unknown resource in --resources of Ray on this machine: 'li"),
        ({"resources": "gup=1", "address": "local"}, "'gup'; did you mean 'gpu'[?]"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_option(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(options)


@pytest.mark.parametrize("address", ["auto", "local", "head:6379", "10.0.0.7:6379", "[::1]:6379", "ray://a-b.org:1"])
def test_an_address_of_an_allowed_form_is_taken(address: str) -> None:
    assert read({"address": address}).address == address


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("head", "--ray-address head: write the port too: head:6379"),
        ("ray://head", "--ray-address ray://head: write the port too: ray://head:10001"),
        ("[::1]", r"write the port too: \[::1\]:6379"),
        ("Auto", "--ray-address Auto: did you mean 'auto'[?]"),
        ("head:0", "the port must be a number from 1 to 65535, but is 0"),
        ("head:65536", "the port must be a number from 1 to 65535, but is 65536"),
        ("head:x", "the port must be a number from 1 to 65535, but is x"),
        ("head:", "the port must be a number from 1 to 65535, but is missing"),
        ("http://head:8265", "--ray-address http://head:8265: only ray:// is possible, not http://"),
        ("no such host", "--ray-address no such host: no address; write auto for the cluster of this machine"),
        (":6379", "--ray-address :6379: no address"),
    ],
)
def test_an_address_of_another_form_is_an_error_before_anything_connects(address: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read({"address": address})


def test_the_address_in_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    with pytest.raises(UserError, match=r"\$RAY_ADDRESS http://head:8265: only ray:// is possible"):
        read({})
    assert read({"address": "local"}).address == "local"


@pytest.mark.parametrize(("devices", "resources"), [("cpu", "gpu=1"), ("cuda:0", None), ("cpu", "cpu=1,gpu=0.5")])
def test_devices_that_contradict_the_resources_are_an_error(devices: str, resources: str | None) -> None:
    with pytest.raises(UserError, match=r"--devices .*--resources"):
        read({"resources": resources}, devices)


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
