"""Trials that do not fit into memory: they are infeasible, and no crashes. The shortages are real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import TooManyCrashes
from hpo.loop import Session, begin, checks, resume
from hpo.record import Budget, History, State, StudyFolder
from hpo.results import status, table
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace, Task
from hpo.trial import Crash, Suggestion
from tests import toy
from tests.loop.searching import BACKENDS, INLINE, check_sound, history, timeless

SIX = SearchSpace("six", {"x": Categorical((0.2, 0.6, 0.7, 0.3, 0.8, 0.4))}, Fidelity(3), Task())
GRID = replace(INLINE, backend="grid", max_crashes=1)


class Large(toy.Curve):
    """Fits into memory if `x` is not above the limit."""

    limit = 0.5

    def step(self) -> Mapping[str, float]:
        if float(self.config["x"]) > Large.limit:
            bytearray(2**62)
        return super().step()


@pytest.fixture(autouse=True)
def memory_is_small() -> Iterator[None]:
    Large.limit = 0.5
    yield
    Large.limit = 0.5


def test_trials_that_do_not_fit_end_no_search_and_are_said_to_be_infeasible(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    reason = begin(folder, SIX, GRID, Budget(trials=50), session=Session(Large))
    assert reason == "every configuration was tried; 3 of 6 did not fit into memory"
    seen = history(folder)
    check_sound(seen)
    assert [trial.number for trial in seen.infeasible] == [1, 2, 4]
    assert seen.crashed == []
    lines = status.lines(folder)
    assert "trials   6: 3 complete, 3 infeasible" in lines
    error = "the trial does not fit into memory, also when tried again: no memory was left"
    assert f"3 trials did not fit into memory, the first (trial 1): {error}" in lines
    frame = table(StudyFolder.reopen(folder)).set_index("trial")
    assert frame["state"][1] == "infeasible"
    assert frame["error"][1] == error

    Large.limit = 1.0  # as on another machine
    assert resume(folder, retry=True, session=Session(Large)) == "every configuration is trained"
    again = history(folder)
    complete = [trial.config["x"] for trial in again.trials.values() if trial.state is State.COMPLETE]
    assert complete == [0.2, 0.3, 0.4, 0.6, 0.7, 0.8]
    assert not again.infeasible
    assert "3 trials did not fit into memory, and were tried again" in status.lines(folder)


class InParts(toy.Curve):
    """Fits into memory if its batches are computed in two parts."""

    def step(self) -> Mapping[str, float]:
        if self.config.get("micro_batches", 1) < 2:
            bytearray(2**62)
        return super().step()


@pytest.mark.slow
def test_trials_that_fit_in_parts_are_said_to_be_trained_so(tmp_path: Path) -> None:
    space = replace(SIX, fixed={"oom": "accumulate"})
    begin(tmp_path / "s", space, GRID, Budget(trials=2), session=Session(InParts))
    assert not history(tmp_path / "s").infeasible
    said = "2 trials computed their batches in parts to fit into memory, the first (trial 0) in 2"
    assert said in status.lines(tmp_path / "s")


@pytest.mark.slow
@pytest.mark.parametrize("backend", [*BACKENDS, "grid"])
def test_every_backend_goes_on_as_after_the_worst_result_and_replays(backend: str, tmp_path: Path) -> None:
    domains: dict[str, Domain] = {"x": Float(0, 1, points=6), "k": Int(1, 99, points=2)}
    space, folder = SearchSpace("wide", domains, Fidelity(9), Task()), tmp_path / "s"
    settings = replace(INLINE, backend=backend, seed=1, max_crashes=1)
    begin(folder, space, settings, Budget(trials=10), session=Session(Large))
    seen = history(folder)
    assert seen.infeasible
    assert all(float(str(trial.config["x"])) > 0.5 for trial in seen.infeasible)
    assert all(float(str(trial.config["x"])) <= 0.5 for trial in seen.ranked())
    resume(folder, Budget(trials=12), session=Session(Large))
    assert timeless(history(folder).events)[: len(seen.events)] == timeless(seen.events)


def test_a_search_in_which_nothing_fits_ends() -> None:
    history = History(9)
    for number in range(checks.MAX_INFEASIBLE):
        checks.crashes(history, 1)
        history.append(Suggestion(number, {"x": 0.5}, 9))
        history.append(Crash(number, "GpuOutOfMemory", "the trial does not fit into memory: none was left\nTraceback"))
    with pytest.raises(TooManyCrashes) as caught:
        checks.crashes(history, 1)
    assert str(caught.value) == (
        "50 trials in a row did not fit into memory; trial 49: the trial does not fit into memory: none was left"
    )
