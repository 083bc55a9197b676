"""Folders that are replaced atomically, also if the process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.store import atomic_folders

NO_PROCESS = 2**22 + 1
"""More than the largest number of a process."""
SCRIPT = """
import os, signal, sys
from pathlib import Path
from trainables.store import atomic_folders

n_calls, rename = int(sys.argv[2]), Path.rename

def killing(self, target):
    global n_calls
    if n_calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    n_calls -= 1
    return rename(self, target)

Path.rename = killing
atomic_folders.write(Path(sys.argv[1]), lambda new: (new / "a.txt").write_text("new"))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "m"


def put(folder: Path, text: str) -> None:
    atomic_folders.write(folder, lambda new: (new / "a.txt").write_text(text))


def content(folder: Path) -> str:
    assert [path.name for path in folder.iterdir()] == ["a.txt"]
    return (folder / "a.txt").read_text()


def test_the_new_folder_replaces_the_old_one(folder: Path) -> None:
    put(folder, "old")
    put(folder, "new")
    assert content(folder) == "new"
    assert list(folder.parent.iterdir()) == [folder]


def test_an_error_while_it_is_filled_leaves_the_old_one(folder: Path) -> None:
    def fail(new: Path) -> None:
        (new / "b.txt").write_text("half")
        raise KeyError

    put(folder, "old")
    with pytest.raises(KeyError):
        atomic_folders.write(folder, fail)
    assert content(folder) == "old"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(("n_renames", "expected"), [(0, "old"), (1, "new")])
def test_after_a_kill_the_folder_is_the_old_or_the_new_one(folder: Path, n_renames: int, expected: str) -> None:
    put(folder, "old")
    command = [sys.executable, "-c", SCRIPT, str(folder), str(n_renames)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert folder.exists() == (n_renames == 0)
    atomic_folders.recover(folder)
    assert content(folder) == expected
    put(folder, "newer")
    assert content(folder) == "newer"
    assert list(folder.parent.iterdir()) == [folder]


def test_an_old_folder_without_a_new_one_is_restored(folder: Path) -> None:
    put(folder, "old")
    folder.rename(folder.with_name(f".m.{NO_PROCESS}.tmp.old"))
    atomic_folders.recover(folder)
    assert content(folder) == "old"


def test_what_a_running_process_writes_is_left_alone(folder: Path) -> None:
    for number in (os.getppid(), NO_PROCESS):
        folder.with_name(f".m.{number}.tmp").mkdir()
    put(folder, "new")
    assert sorted(path.name for path in folder.parent.iterdir()) == [f".m.{os.getppid()}.tmp", "m"]


def test_what_an_earlier_process_with_the_same_number_left_is_deleted(folder: Path) -> None:
    folder.with_name(f".m.{os.getpid()}.tmp").mkdir()
    put(folder, "new")
    assert list(folder.parent.iterdir()) == [folder]


def test_a_write_is_not_disturbed_by_a_recovery_of_the_same_process(folder: Path) -> None:
    def fill(new: Path) -> None:
        atomic_folders.recover(folder)
        (new / "a.txt").write_text("new")

    atomic_folders.write(folder, fill)
    assert content(folder) == "new"


def test_the_target_of_a_link_is_replaced(folder: Path) -> None:
    put(folder, "old")
    link = folder.with_name("link")
    link.symlink_to(folder)
    put(link, "new")
    assert link.is_symlink()
    assert content(folder) == "new"


@pytest.mark.parametrize("name", ["a\0b", "loop", "nowhere/m"])
def test_there_is_nothing_to_recover_at_a_path_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    atomic_folders.recover(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]
