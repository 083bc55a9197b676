"""The store in use, when damaged, when a process is killed, and on a full disk: real files, real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.store import progress_files
from trainables.store import store as stores
from trainables.store.store import Advance, Bytes, Store

N = 2 * stores.BLOCK_BYTES + 5
PLENTY = 2**30


class Computation:
    """Fills an entry with numbers, and counts how often."""

    def __init__(self, first: int = 0, notes: dict[str, Any] | None = None) -> None:
        self.times, self._first, self._notes = 0, first, notes

    def __call__(self, content: Bytes, advance: Advance) -> dict[str, Any] | None:
        self.times += 1
        content[:] = (np.arange(len(content)) + self._first).astype(np.uint8)
        advance(1.0)
        return self._notes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", PLENTY)


def content(store: Store, fill: stores.Fill, key: str = "a", n_bytes: int = N) -> Bytes:
    found = store.get("numbers", (key,), n_bytes, "numbers", fill)
    assert found is not None
    return found.content


def only(store: Store, suffix: str) -> Path:
    (path,) = store.folder.glob(f"*{suffix}")
    return path


def test_an_entry_is_computed_once_and_found_again_by_another_store(store: Store) -> None:
    fill = Computation(notes={"unreadable": [3]})
    first = content(store, fill)
    again = Store(store.folder, PLENTY).get("numbers", ("a",), N, "numbers", fill)
    assert again is not None
    assert fill.times == 1
    assert np.array_equal(first, again.content)
    assert np.array_equal(first[:3], [0, 1, 2])
    assert again.notes == {"unreadable": [3]}


def test_another_key_or_kind_is_another_entry(store: Store) -> None:
    found = [content(store, Computation(i), key)[0] for i, key in enumerate("abc")]
    assert found == [0, 1, 2]
    other = store.get("others", ("a",), 4, "others", Computation(9))
    assert other is not None
    assert other.content[0] == 9
    assert len(store.entries()) == 4


def test_what_is_written_to_an_entry_stays_with_the_writer(store: Store) -> None:
    content(store, Computation())[0] = 77
    assert content(store, Computation())[0] == 0


def truncate(path: Path) -> None:
    os.truncate(path, N - 1)


def flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(N - 2)
        byte = file.read(1)[0]
        file.seek(N - 2)
        file.write(bytes([byte ^ 1]))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def older(path: Path) -> None:
    about = path.with_suffix(".json")
    about.write_text(json.dumps({**json.loads(about.read_text()), "version": stores.VERSION - 1}))


def scribble(path: Path) -> None:
    path.with_suffix(".json").write_text("[")


def drop(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, empty, older, scribble, drop])
def test_a_damaged_or_older_entry_is_computed_again_with_a_word(
    store: Store, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    fill = Computation()
    content(store, fill)
    damage(only(store, ".bin"))
    assert np.array_equal(content(store, fill)[-3:], (np.arange(N - 3, N)).astype(np.uint8))
    assert fill.times == 2
    assert "computed again" in capsys.readouterr().err
    content(store, fill)
    assert fill.times == 2


def test_an_error_of_the_computation_is_passed_on_and_leaves_nothing(store: Store) -> None:
    def fail(content: Bytes, advance: Advance) -> None:
        advance(0.5)
        raise RuntimeError("no such image")

    def run_out(content: Bytes, advance: Advance) -> None:
        raise OSError(5, "input/output error")

    with pytest.raises(RuntimeError, match="no such image"):
        content(store, fail)
    with pytest.raises(OSError, match="input/output error"):
        content(store, run_out)
    assert [path.suffix for path in store.folder.iterdir()] == [".lock"]
    assert content(store, Computation())[1] == 1


def test_without_room_nothing_is_kept_and_a_line_says_so_where_the_disk_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill = Computation()
    assert Store(tmp_path, N - 1).get("numbers", ("a",), N, "numbers", fill) is None
    place = tmp_path / "file"
    place.touch()
    assert Store(place, PLENTY).get("numbers", ("a",), N, "numbers", fill) is None
    assert fill.times == 0
    assert "cannot keep numbers" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "posix_fallocate") or sys.platform != "linux", reason="needs RLIMIT_FSIZE")
def test_a_disk_that_is_full_costs_the_entry_but_not_the_process(tmp_path: Path) -> None:
    """A limit on the size of files fails the write as a full disk does: with an OSError, before the map is touched."""
    script = (
        "import resource, signal, sys; from pathlib import Path; from trainables.store.store import Store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "def fill(content, advance): content[:] = 1\n"
        f"print(Store(Path({str(tmp_path)!r}), 2**30).get('a', ('b',), 5000, 'numbers', fill))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
    assert "cannot keep numbers" in done.stderr
    assert not list(tmp_path.glob("*.bin"))
    assert not list(tmp_path.glob("*.tmp"))


def test_the_least_recently_used_entries_make_room(tmp_path: Path) -> None:
    store = Store(tmp_path, 3000)
    for i, key in enumerate("abc"):
        content(store, Computation(), key, 1000)
        os.utime(only_about(store, key), (i, i))
    os.utime(only_about(store, "a"))  # used again
    content(store, Computation(), "d", 1000)
    fill = Computation()
    for key in "acd":
        content(store, fill, key, 1000)
    assert fill.times == 0
    assert len(store.entries()) == 3


def only_about(store: Store, key: str) -> Path:
    """The file that describes the entry of a key."""
    before = {path: path.stat().st_mtime for path in store.folder.glob("*.json")}
    for path in before:
        os.utime(path, (0, 0))
    content(store, Computation(), key, 1000)
    found = max(before, key=lambda path: path.stat().st_mtime)
    for path, moment in before.items():
        os.utime(path, (moment, moment))
    return found


SLOW = (
    "import sys, time; from pathlib import Path; from trainables.store.store import Store\n"
    "def fill(content, advance):\n"
    "    print('computing', flush=True)\n"
    "    for i in range(len(content)):\n"
    "        content[i] = i\n"
    "        advance(i / len(content))\n"
    "        time.sleep(float(sys.argv[2]))\n"
    "found = Store(Path(sys.argv[1]), 2**30).get('slow', ('key',), 20, 'slow numbers', fill)\n"
    "print(found.content.tolist() == list(range(20)), flush=True)\n"
)


@pytest.fixture
def slow(store: Store) -> Iterator[Callable[[float], subprocess.Popen[str]]]:
    """Starts a process that asks for an entry which takes 20 times so many seconds."""
    started: list[subprocess.Popen[str]] = []

    def start(seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SLOW, str(store.folder), str(seconds)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_of_two_processes_that_ask_at_once_one_computes_and_both_have_it(
    slow: Callable[[float], subprocess.Popen[str]],
) -> None:
    outputs = [process.communicate(timeout=60)[0].split() for process in [slow(0.02), slow(0.02)]]
    assert sorted(outputs) == [["True"], ["computing", "True"]]


def test_a_computation_concerns_the_process_that_computes_its_parent_and_whoever_waits_for_it(
    store: Store, slow: Callable[[float], subprocess.Popen[str]]
) -> None:
    def shown(process: int, n: int) -> bool:
        """Whether a process comes to be concerned with `n` computations."""
        deadline = time.monotonic() + 60
        while len(progress_files.running(store.folder, process)) != n and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(progress_files.running(store.folder, process)) == n

    first = slow(1.0)
    assert shown(first.pid, 1)
    assert shown(os.getpid(), 1)
    second = slow(0.0)
    assert shown(second.pid, 1)
    assert progress_files.running(store.folder, os.getppid()) == []
    first.kill()
    second.communicate(timeout=60)
    assert list(store.folder.glob("*.waiting")) == []


def test_a_killed_computation_leaves_nothing_that_counts_and_the_next_begins_anew(
    store: Store, slow: Callable[[float], subprocess.Popen[str]]
) -> None:
    first = slow(1.0)
    assert first.stdout is not None
    assert first.stdout.readline() == "computing\n"
    deadline = time.monotonic() + 60
    while not progress_files.running(store.folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    (found,) = progress_files.running(store.folder)
    assert (found.words, found.done < 1) == ("slow numbers", True)
    assert store.entries() == []
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert list(store.folder.glob("*.tmp"))
    content(store, Computation())  # another entry clears away what is left
    assert not list(store.folder.glob("*.tmp"))
    assert slow(0.0).communicate(timeout=60)[0].split() == ["computing", "True"]
    assert progress_files.running(store.folder) == []
    assert len(store.entries()) == 2


def test_to_clear_deletes_all_but_what_is_computed_at_the_moment(
    store: Store, slow: Callable[[float], subprocess.Popen[str]]
) -> None:
    content(store, Computation())
    process = slow(0.1)
    assert process.stdout is not None
    assert process.stdout.readline() == "computing\n"
    store.clear()
    assert not list(store.folder.glob("*.bin"))
    assert process.communicate(timeout=60)[0].split() == ["True"]
    assert [entry.words for entry in store.entries()] == ["slow numbers"]
    store.clear()
    assert {path.suffix for path in store.folder.iterdir()} == {".lock"}
