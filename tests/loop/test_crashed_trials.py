"""Crashed trials, and how they are tried again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import TooManyCrashes, UserError
from hpo.loop import begin, resume
from hpo.record import Budget, Retry, State, StudyFolder
from hpo.results import status
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace, Task
from tests.loop import flaky
from tests.loop.searching import BACKENDS, INLINE, check_sound, history, timeless

TASK = Task(regime="tests.loop.flaky")
SIX = SearchSpace("six", {"x": Categorical((0.2, 0.6, 0.7, 0.3, 0.8, 0.4))}, Fidelity(3), TASK)
WIDE = SearchSpace("wide", {"x": Float(0, 1), "k": Int(1, 99)}, Fidelity(9), TASK)
GRID = replace(INLINE, backend="grid")


@pytest.fixture(autouse=True)
def source_is_up_again() -> Iterator[None]:
    flaky.Source.limit = 0.5
    yield
    flaky.Source.limit = 0.5


def test_a_grid_with_crashes_says_so_and_is_whole_after_they_are_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    reason = begin(folder, SIX, GRID, Budget(trials=50))
    assert reason == "every configuration was tried; 3 of 6 crashed"
    assert "3 trials crashed, the first (trial 1) with ConnectionError: the source is down" in status.lines(folder)
    assert any("hpo resume s --retry-crashed" in line and "tries them again" in line for line in status.lines(folder))
    assert resume(folder) == reason, "without the option, crashed trials stay as they are"

    flaky.Source.limit = 1.0
    assert resume(folder, retry=True) == "every configuration is trained"
    seen = history(folder)
    check_sound(seen)
    complete = [trial.config["x"] for trial in seen.trials.values() if trial.state is State.COMPLETE]
    assert complete == [0.2, 0.3, 0.4, 0.6, 0.7, 0.8]
    assert seen.events.count(Retry((1, 2, 4))) == 1
    assert "3 trials crashed, and were tried again" in status.lines(folder)
    assert not any("--retry-crashed" in line for line in status.lines(folder))
    assert resume(folder, retry=True) == "every configuration is trained"
    assert len(history(folder).trials) == 9


@pytest.mark.parametrize("budget", [Budget(epochs=9), Budget(seconds=0)])
def test_crashed_trials_are_not_marked_as_tried_again_if_the_budget_is_spent(tmp_path: Path, budget: Budget) -> None:
    folder = tmp_path / "s"
    begin(folder, SIX, GRID, Budget(trials=50))
    assert history(folder).n_epochs == 9
    before = (folder / "study.yaml").read_text()
    with pytest.raises(UserError, match=r"^the budget of (9 epochs|0s) is spent, .*: raise this budget"):
        resume(folder, budget, retry=True)
    assert (folder / "study.yaml").read_text() == before
    assert not history(folder).retried
    flaky.Source.limit = 1.0
    assert resume(folder, Budget(epochs=18), retry=True) == "the budget of 18 epochs is spent"
    assert history(folder).retried == {1, 2, 4}


def test_a_study_whose_source_was_down_at_first_begins_after_all(tmp_path: Path) -> None:
    flaky.Source.limit = 0.0
    with pytest.raises(TooManyCrashes, match="the first 3 trials crashed") as caught:
        begin(tmp_path / "s", SIX, GRID, Budget(trials=50))
    assert "hpo resume s --retry-crashed" in str(caught.value)
    flaky.Source.limit = 1.0
    assert resume(tmp_path / "s", retry=True) == "every configuration is trained"
    complete = [trial for trial in history(tmp_path / "s").trials.values() if trial.state is State.COMPLETE]
    assert len({trial.config["x"] for trial in complete}) == len(complete) == 6


@pytest.mark.parametrize("backend", [*BACKENDS, "grid"])
def test_trials_tried_again_count_once_and_the_study_replays(backend: str, tmp_path: Path) -> None:
    domains: dict[str, Domain] = {"x": Float(0, 1, points=6), "k": Int(1, 99, points=2)}
    space, folder = replace(WIDE, domains=domains), tmp_path / "s"
    begin(folder, space, replace(INLINE, backend=backend, seed=1, max_crashes=50), Budget(trials=10))
    crashed = [trial.number for trial in history(folder).trials.values() if trial.state is State.CRASHED]
    assert crashed
    flaky.Source.limit = 1.0
    assert resume(folder, retry=True) == "the budget of 10 trials is spent"
    seen = history(folder)
    assert len(seen.trials) == 10 + len(crashed)
    again = [seen.trials[10 + i].config for i in range(len(crashed))]
    assert again == [seen.trials[number].config for number in crashed]
    assert not seen.crashed
    resume(folder, Budget(trials=11))  # the replay queues the crashed trials at the same moment
    assert timeless(history(folder).events)[: len(seen.events)] == timeless(seen.events)
    assert history(folder).n_trials == 11


def test_trials_that_crash_again_are_tried_a_third_time(tmp_path: Path) -> None:
    begin(tmp_path / "s", SIX, GRID, Budget(trials=50))
    assert resume(tmp_path / "s", retry=True) == "every configuration was tried; 3 of 6 crashed"
    flaky.Source.limit = 1.0
    assert resume(tmp_path / "s", retry=True) == "every configuration is trained"
    assert len(history(tmp_path / "s").trials) == 12
    assert history(tmp_path / "s").n_trials == 6


def test_the_number_of_crashes_that_end_a_search_is_a_setting_that_a_resume_can_change(tmp_path: Path) -> None:
    flaky.Source.limit = 0.0
    with pytest.raises(TooManyCrashes, match="the first 2 trials crashed"):
        begin(tmp_path / "s", SIX, replace(GRID, max_crashes=2), Budget(trials=50))
    assert StudyFolder.reopen(tmp_path / "s").settings.max_crashes == 2
    with pytest.raises(TooManyCrashes, match="the first 4 trials crashed"):
        resume(tmp_path / "s", settings={"max_crashes": 4})
    assert StudyFolder.reopen(tmp_path / "s").settings.max_crashes == 4
    flaky.Source.limit = 1.0
    resume(tmp_path / "s", Budget(trials=5))
    flaky.Source.limit = 0.0
    with pytest.raises(UserError, match="max_crashes must be at least 1, but is 0"):
        resume(tmp_path / "s", settings={"max_crashes": 0})


def test_a_backend_without_a_queue_cannot_try_crashed_trials_again(tmp_path: Path) -> None:
    settings = replace(INLINE, backend="tests.loop.plain_backend", max_crashes=9)
    begin(tmp_path / "s", WIDE, settings, Budget(trials=6))
    with pytest.raises(UserError, match="cannot try crashed trials again: it has no method `enqueue`"):
        resume(tmp_path / "s", retry=True)
    assert not history(tmp_path / "s").retried
