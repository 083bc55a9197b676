import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
import torch

from tests.trainables.states import identical
from trainables.training import checkpoints
from trainables.training.checkpoints import DamagedCheckpoint

CONTENT = {
    "epoch": 3,
    "weights": torch.arange(2000.0),
    "nested": {"losses": [1.5, None], "name": "adam", "pair": (1, 2)},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "7.pt"


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_what_was_written_is_read_back(path: Path) -> None:
    checkpoints.write(path, CONTENT)
    assert identical(checkpoints.read(path), CONTENT)
    assert names(path) == ["7.pt"]


def test_a_missing_checkpoint_is_none(path: Path) -> None:
    assert checkpoints.read(path) is None


def test_a_second_write_takes_the_place_of_the_first(path: Path) -> None:
    checkpoints.write(path, CONTENT)
    checkpoints.write(path, {"epoch": 4})
    assert checkpoints.read(path) == {"epoch": 4}


def test_a_write_that_fails_leaves_the_old_checkpoint_and_nothing_else(path: Path) -> None:
    class Unwritable:
        def __reduce__(self) -> str:
            raise OSError("disk full")

    checkpoints.write(path, {"epoch": 3})
    with pytest.raises(OSError, match="disk full"):
        checkpoints.write(path, {"weights": torch.zeros(10), "bad": Unwritable()})
    assert checkpoints.read(path) == {"epoch": 3}
    assert names(path) == ["7.pt"]


def flip(content: bytes) -> bytes:
    """One byte changed in the middle, where the weights are."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: content[: len(content) // 2], lambda content: b"no checkpoint", flip],
    ids=["empty", "cut short", "something else", "one byte changed"],
)
def test_a_damaged_checkpoint_is_named(path: Path, damage: Callable[[bytes], bytes]) -> None:
    checkpoints.write(path, CONTENT)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedCheckpoint, match=f"the checkpoint {path} is damaged"):
        checkpoints.read(path)


def test_a_checkpoint_that_would_run_code_is_refused(path: Path) -> None:
    torch.save({"path": path}, path)
    with pytest.raises(DamagedCheckpoint, match="is damaged"):
        checkpoints.read(path)


def test_a_file_that_holds_no_dictionary_is_no_checkpoint(path: Path) -> None:
    torch.save([1, 2], path)
    with pytest.raises(DamagedCheckpoint, match="holds no dictionary"):
        checkpoints.read(path)


def test_a_path_that_cannot_be_read_is_the_machines_fault_and_no_damage(path: Path) -> None:
    path.mkdir()
    with pytest.raises(OSError):  # noqa: PT011 - its text is the system's
        checkpoints.read(path)


def test_the_best_shares_the_content_and_survives_the_next_write(path: Path) -> None:
    best = path.with_name("7.best.pt")
    checkpoints.write(path, {"epoch": 1})
    checkpoints.keep_best(path, best)
    assert os.path.samefile(path, best)
    checkpoints.write(path, {"epoch": 2})
    assert (checkpoints.read(best), checkpoints.read(path)) == ({"epoch": 1}, {"epoch": 2})
    checkpoints.keep_best(path, best)
    assert checkpoints.read(best) == {"epoch": 2}
    assert names(path) == ["7.best.pt", "7.pt"]


def test_keeping_the_best_twice_leaves_nothing_behind(path: Path) -> None:
    best = path.with_name("7.best.pt")
    checkpoints.write(path, {"epoch": 1})
    checkpoints.keep_best(path, best)
    checkpoints.keep_best(path, best)
    assert names(path) == ["7.best.pt", "7.pt"]


def test_without_hard_links_the_best_is_a_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    best = path.with_name("7.best.pt")
    checkpoints.write(path, {"epoch": 1})
    checkpoints.keep_best(path, best)
    assert checkpoints.read(best) == {"epoch": 1}
    assert not os.path.samefile(path, best)
    assert names(path) == ["7.best.pt", "7.pt"]


def test_the_best_of_no_checkpoint_is_an_error_and_leaves_the_old_best(path: Path) -> None:
    best = path.with_name("7.best.pt")
    checkpoints.write(best, {"epoch": 1})
    with pytest.raises(FileNotFoundError):
        checkpoints.keep_best(path, best)
    assert names(path) == ["7.best.pt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("n_bytes", [1, 100, 5000, 300_000, 3_000_000])
def test_a_full_disk_is_an_os_error_whatever_is_written(tmp_path: Path, n_bytes: int) -> None:
    (tmp_path / ".0.pt.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        checkpoints.write(tmp_path / "0.pt", {"weights": torch.zeros(n_bytes, dtype=torch.uint8)})
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_a_write_is_never_lost(path: Path) -> None:
    """Python handles a signal where a function begins. C++ code that calls a function could lose the interrupt."""
    checkpoints.write(path, CONTENT)
    left = 0

    def interrupt(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        left -= event == "call"
        if left == 0:
            raise KeyboardInterrupt

    def is_interrupted(n_calls: int) -> bool:
        nonlocal left
        left = n_calls
        sys.setprofile(interrupt)
        try:
            checkpoints.write(path, {"epoch": n_calls})
        except KeyboardInterrupt:
            return True
        finally:
            sys.setprofile(None)
        assert left > 0, f"interrupted at the call of function {n_calls}, and nothing was raised"
        return False

    n_calls = 1
    while is_interrupted(n_calls):
        n_calls += 1
    assert n_calls > 20
    assert checkpoints.read(path) == {"epoch": n_calls}
