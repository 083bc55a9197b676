"""A tracker that follows a search: nothing that it does reaches the search."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpo.trackers import Follower, Target
from hpo.trackers._lock import tracker_lock
from tests.trackers.contract import study_in, trial_at

KIND = "tests.trackers.file_tracker"
HINT = "`hpo track flowers` sends what is missing"


def follower(folder: Path, told: list[str]) -> Follower:
    """A follower that writes into a folder."""
    return Follower(Target(KIND, str(folder)), study_in(folder), HINT, told.append)


def wait_for(path: Path) -> None:
    """Wait until a file exists."""
    end = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} was not written"
        time.sleep(0.02)


def lines(folder: Path) -> list[str]:
    return (folder / "lines").read_text().splitlines()


def test_the_newest_version_of_each_trial_arrives_and_the_tracker_is_closed(tmp_path: Path) -> None:
    told: list[str] = []
    following = follower(tmp_path, told)
    for epoch in range(50):
        for number in (0, 1):
            following.follow(trial_at(epoch, number=number))
    following.follow(trial_at(50, "complete", number=1))
    following.close(60)
    assert {"0 49 running", "1 50 complete"} <= set(lines(tmp_path))
    assert lines(tmp_path)[-1] == "closed"
    assert told == []


def test_a_tracker_that_fails_is_named_once_with_what_to_do(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "fail").touch()
    following = follower(tmp_path, told)
    for epoch in range(3):
        following.follow(trial_at(epoch))
    following.close(60)
    assert told == [f"tracker {KIND}: [Errno 28] no space left on the disk of the tracker; {HINT}"]


def test_a_tracker_that_hangs_holds_up_neither_the_search_nor_its_end(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "hang").touch()
    following = follower(tmp_path, told)
    following.follow(trial_at(1))
    wait_for(tmp_path / "hangs")
    for epoch in range(20_000):  # more than the pipe to the process takes
        following.follow(trial_at(epoch % 3, number=epoch % 7))
    assert told == []
    following.close(0.2)
    (line,) = told
    assert "it has not taken all within 0.2 seconds" in line
    assert not (tmp_path / "lines").exists()
    process = following._process
    assert process is not None
    assert process.wait(60) == -signal.SIGKILL


def test_an_error_in_the_thread_that_sends_is_named(tmp_path: Path) -> None:
    told: list[str] = []
    following = follower(tmp_path, told)
    parameters: dict[str, Any] = {"lr": lambda: 0.1}  # cannot be pickled
    following.follow(replace(trial_at(1), parameters=parameters))
    following.close(60)
    (line,) = told
    assert "pickle" in line
    assert HINT in line


def test_a_follower_waits_for_a_process_that_a_killed_search_left(tmp_path: Path) -> None:
    told: list[str] = []
    following = follower(tmp_path, told)
    with tracker_lock(tmp_path, KIND, 60):
        following.follow(trial_at(3))
        following.close(2)
        assert not (tmp_path / "lines").exists()
    assert "it has not taken all within 2 seconds" in told[0]
    told.clear()
    following = follower(tmp_path, told)
    with tracker_lock(tmp_path, KIND, 60):
        following.follow(trial_at(3))
    following.close(60)
    assert lines(tmp_path) == ["0 3 running", "closed"]
    assert told == []


def test_a_search_without_a_trial_starts_no_tracker(tmp_path: Path) -> None:
    told: list[str] = []
    following = follower(tmp_path, told)
    following.close(60)
    assert following._process is None
    assert list(tmp_path.iterdir()) == []
    assert told == []


def test_a_tracker_whose_process_is_killed_is_named(tmp_path: Path) -> None:
    told: list[str] = []
    following = follower(tmp_path, told)
    following.follow(trial_at(1))
    wait_for(tmp_path / "lines")
    process = following._process
    assert isinstance(process, subprocess.Popen)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(3):
        following.follow(trial_at(2))
    following.close(60)
    (line,) = told
    assert "its process ended with status -9" in line


def test_a_tracker_that_cannot_be_built_is_named(tmp_path: Path) -> None:
    told: list[str] = []
    following = Follower(Target("tests.trackers.contract"), study_in(tmp_path), HINT, told.append)
    following.follow(trial_at(1))
    following.close(60)
    (line,) = told
    assert "has no function `build`" in line
