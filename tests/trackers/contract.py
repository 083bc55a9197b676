"""The contract of a tracker: an implementation's test subclasses it and offers the fixture `tool`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pytest

from hpo.trackers import TrackedStudy, TrackedTrial, Tracker
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

    def test_values_that_are_not_finite_are_taken(self, tool: Tool, study: TrackedStudy) -> None:
        bad = Report(0, 1, math.inf, {"val_loss": math.nan, "train_loss": math.inf}, 0.5)
        tracker = tool.tracker(study)
        crashed = replace(trial_at(0), reports=(bad,), state="crashed", error="ValueError: no")
        tracker.update(crashed)
        tracker.close()
        (shown,) = tool.shown(study).values()
        assert shown.state == "crashed"
        assert [epoch for epoch, _ in shown.curves["train_loss"]] == [1]


def same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    """Whether two curves have the same epochs, each once, and nearly the same values: TensorBoard stores 32 bits."""
    return len(found) == len(expected) and all(
        step == epoch and value == pytest.approx(loss, rel=1e-6)
        for (step, value), (epoch, loss) in zip(found, expected, strict=True)
    )
