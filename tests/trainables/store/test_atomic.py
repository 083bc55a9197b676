from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trainables.store import atomic


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "7.pt"


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def put(path: Path, text: str) -> None:
    atomic.write(path, lambda temporary: temporary.write_text(text))


@pytest.mark.parametrize("age", [0.0, 60.0], ids=["young", "old"])
def test_the_new_content_takes_the_place_of_the_old(path: Path, age: float) -> None:
    put(path, "old")
    os.utime(path, (time.time() - age,) * 2)
    put(path, "new")
    assert path.read_text() == "new"
    assert names(path) == ["7.pt"]


SCRIPT = """
import os, signal, sys
from pathlib import Path
from trainables.store import atomic

left = int(sys.argv[2])

def kill_in_time(event, arguments):
    global left
    if event in ("open", "os.remove", "os.rename") and "7.pt" in str(arguments[0]):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

path = Path(sys.argv[1])
sys.addaudithook(kill_in_time)
atomic.write(path, lambda temporary: temporary.write_text("new"))
"""


@pytest.mark.parametrize("age", [0.0, 60.0], ids=["young", "old"])
def test_a_writer_killed_before_any_system_call_leaves_the_old_content_or_the_new(path: Path, age: float) -> None:
    seen = []
    for n_calls in range(4):
        put(path, "old")
        os.utime(path, (time.time() - age + 0.5,) * 2)
        killed = subprocess.run([sys.executable, "-c", SCRIPT, str(path), str(n_calls)], check=False).returncode
        atomic.recover(path)
        seen.append((killed == -signal.SIGKILL, path.read_text()))
        assert names(path) == ["7.pt"]
    # killed as it opens the temporary file, (as it unlinks the young one,) as it renames; then not at all
    if age:
        assert seen == [(True, "old"), (True, "old"), (False, "new"), (False, "new")]
    else:
        assert seen == [(True, "old"), (True, "old"), (True, "new"), (False, "new")]


def test_a_fill_that_fails_leaves_the_old_content_and_nothing_else(path: Path) -> None:
    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    put(path, "old")
    with pytest.raises(OSError, match="disk full"):
        atomic.write(path, fail)
    assert path.read_text() == "old"
    assert names(path) == ["7.pt"]


def test_removing_leaves_neither_the_file_nor_what_was_about_to_replace_it(path: Path) -> None:
    put(path, "old")
    path.with_name(".7.pt.tmp").write_text("new")
    atomic.remove(path)
    atomic.remove(path)
    assert names(path) == []


def test_a_reader_waits_until_a_write_has_replaced_the_file(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("new")
    replacing = threading.Timer(0.05, os.replace, (temporary, path))
    replacing.start()
    atomic.wait_for_writer(path)
    assert path.read_text() == "new"
    replacing.join()
