"""The contract of a tracker: an implementation's test subclasses it and offers the fixture `tool`."""

from __future__ import annotations

import math
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pytest

from hpo.trackers import Target, TrackedStudy, TrackedTrial, Tracker
from hpo.trial import Report, Scalar

PARAMETERS: dict[str, Scalar] = {
    "regime": "linear_probe",
    "lr": 0.01,
    "batch_size": 16,
    "nesterov": True,
    "sampler": None,
}


@dataclass
class Shown:
    """What a tool shows of a trial."""

    parameters: dict[str, str]
    """The parameters as texts."""
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """The points of each metric, as epochs and values, in the order in which they were sent."""
    state: str = ""


class Tool(Protocol):
    """A tool and its tracker."""

    @property
    def target(self) -> Target:
        """What the tracker is built from."""

    def wait(self, study: TrackedStudy, epoch: int) -> None:
        """Wait until a running tracker was seen to have taken an epoch of trial 0."""

    def tracker(self, study: TrackedStudy) -> Tracker:
        """Build the tracker, as a new process does."""

    def shown(self, study: TrackedStudy) -> dict[int, Shown]:
        """What the tool shows of the trials of a study, by their numbers."""


def study_in(folder: Path, digest: str = "0123456789abcdef") -> TrackedStudy:
    """A study whose folder is empty."""
    return TrackedStudy("flowers", digest, folder, "val_loss", 1_700_000_000.0)


def trial_at(epoch: int, state: str = "running", number: int = 0) -> TrackedTrial:
    """A trial that was trained up to an epoch."""
    reports = [
        Report(number, each, 1 / each, {"val_loss": 1 / each, "val_accuracy": 1 - 1 / each}, 0.5)
        for each in range(1, epoch + 1)
    ]
    return TrackedTrial(number, PARAMETERS, tuple(reports), state)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def points(epochs: int) -> list[tuple[int, float]]:
    """The points of `val_loss` of a trial that was trained up to an epoch."""
    return [(epoch, 1 / epoch) for epoch in range(1, epochs + 1)]


class TrackerContract:
    """What every tracker does."""

    @pytest.fixture
    def study(self, tmp_path: Path) -> TrackedStudy:
        return study_in(tmp_path / "flowers")

    def test_a_trial_has_its_parameters_every_epoch_and_its_state(self, tool: Tool, study: TrackedStudy) -> None:
        tracker = tool.tracker(study)
        for epoch in range(4):
            tracker.update(trial_at(epoch))
        tracker.update(trial_at(3, "complete"))
        tracker.close()
        (shown,) = tool.shown(study).values()
        assert shown.state == "complete"
        assert same(shown.curves["val_loss"], points(3))
        assert [epoch for epoch, _ in shown.curves["val_accuracy"]] == [1, 2, 3]
        assert shown.curves["seconds"] == [(1, 0.5), (2, 0.5), (3, 0.5)]
        assert float(shown.parameters["lr"]) == pytest.approx(0.01)
        assert shown.parameters["regime"] == "linear_probe"
        assert set(shown.parameters) >= set(PARAMETERS)

    def test_a_tracker_that_begins_again_adds_only_what_is_missing(self, tool: Tool, study: TrackedStudy) -> None:
        for epoch, state in [(2, "paused"), (2, "paused"), (5, "paused"), (5, "stopped"), (5, "stopped")]:
            tracker = tool.tracker(study)
            tracker.update(trial_at(epoch, state))
            tracker.close()
        (shown,) = tool.shown(study).values()
        assert same(shown.curves["val_loss"], points(5))
        assert shown.state == "stopped"

    def test_a_stopped_trial_may_go_on(self, tool: Tool, study: TrackedStudy) -> None:
        tracker = tool.tracker(study)
        tracker.update(trial_at(1, "stopped"))
        tracker.update(trial_at(2, "running"))
        tracker.update(trial_at(3, "complete"))
        tracker.close()
        (shown,) = tool.shown(study).values()
        assert same(shown.curves["val_loss"], points(3))
        assert shown.state == "complete"

    def test_versions_may_be_left_out_and_trials_may_alternate(self, tool: Tool, study: TrackedStudy) -> None:
        tracker = tool.tracker(study)
        for epoch in (1, 4, 6):
            for number in (3, 0):
                tracker.update(trial_at(epoch, number=number))
        tracker.close()
        shown = tool.shown(study)
        assert set(shown) == {0, 3}
        assert all(same(each.curves["val_loss"], points(6)) for each in shown.values())

    def test_a_study_that_was_renamed_and_moved_goes_on_in_the_same_runs(
        self, tool: Tool, study: TrackedStudy, tmp_path: Path
    ) -> None:
        self.send(tool, study, trial_at(2, "paused"))
        moved = tmp_path / "elsewhere" / "tulips"
        study.folder.mkdir(exist_ok=True)
        moved.parent.mkdir()
        study.folder.rename(moved)
        self.send(tool, replace(study, folder=moved), trial_at(3, "paused"))
        self.send(tool, replace(study, folder=moved, name="tulips"), trial_at(5, "complete"))
        (shown,) = tool.shown(replace(study, folder=moved)).values()
        assert same(shown.curves["val_loss"], points(5))
        assert shown.state == "complete"

    def test_a_copy_of_a_study_leaves_the_runs_of_the_original(
        self, tool: Tool, study: TrackedStudy, tmp_path: Path
    ) -> None:
        tracker = tool.tracker(study)
        tracker.update(trial_at(2))
        study.folder.mkdir(exist_ok=True)
        copy = replace(study, folder=tmp_path / "copy" / "flowers")
        shutil.copytree(study.folder, copy.folder)
        tracker.update(trial_at(3, "complete"))
        tracker.close()
        self.send(tool, copy, trial_at(3, "complete"))
        for each in (study, copy):
            (shown,) = tool.shown(each).values()
            assert same(shown.curves["val_loss"], points(3))

    @pytest.mark.slow
    def test_a_process_that_is_killed_anywhere_leaves_no_point_out_and_none_twice(
        self, tool: Tool, study: TrackedStudy
    ) -> None:
        for epoch in (2, 4):
            with tracker_process(tool, study) as process:
                for each in range(epoch + 1):
                    give(process, trial_at(each))
                tool.wait(study, epoch)
                process.kill()
        self.send(tool, study, trial_at(6, "complete"))
        (shown,) = tool.shown(study).values()
        assert same(shown.curves["val_loss"], points(6))
        assert shown.state == "complete"

    @pytest.mark.slow
    def test_two_processes_send_each_point_once(self, tool: Tool, study: TrackedStudy) -> None:
        with tracker_process(tool, study) as one, tracker_process(tool, study) as other:
            for process in (one, other):
                for each in range(1, 6):
                    give(process, trial_at(each))
                give(process, trial_at(6, "complete"))
                assert process.stdin is not None
                process.stdin.close()
            assert [one.wait(300), other.wait(300)] == [0, 0]
        (shown,) = tool.shown(study).values()
        assert same(shown.curves["val_loss"], points(6))

    def send(self, tool: Tool, study: TrackedStudy, trial: TrackedTrial) -> None:
        """Update a tracker of a new process with a trial, and close it."""
        tracker = tool.tracker(study)
        tracker.update(trial)
        tracker.close()

    def test_values_that_are_not_finite_are_taken(self, tool: Tool, study: TrackedStudy) -> None:
        bad = Report(0, 1, math.inf, {"val_loss": math.nan, "train_loss": math.inf}, 0.5)
        tracker = tool.tracker(study)
        crashed = replace(trial_at(0), reports=(bad,), state="crashed", error="ValueError: no")
        tracker.update(crashed)
        tracker.close()
        (shown,) = tool.shown(study).values()
        assert shown.state == "crashed"
        assert [epoch for epoch, _ in shown.curves["train_loss"]] == [1]


def tracker_process(tool: Tool, study: TrackedStudy) -> subprocess.Popen[bytes]:
    """Start the process of a tracker, which reads trials from its stdin."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hpo.trackers"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    for header in (sys.path, tool.target, study):
        give(process, header)
    return process


def give(process: subprocess.Popen[bytes], content: object) -> None:
    """Write an object into the stdin of the process of a tracker."""
    assert process.stdin is not None
    pickle.dump(content, process.stdin)
    process.stdin.flush()


def same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    """Whether two curves have the same epochs, each once, and nearly the same values: TensorBoard stores 32 bits."""
    return len(found) == len(expected) and all(
        step == epoch and value == pytest.approx(loss, rel=1e-6)
        for (step, value), (epoch, loss) in zip(found, expected, strict=True)
    )
