from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hpo.loop import Session, begin, resume, time_limit
from hpo.record import Budget, Ledger, Settings, State, StudyFolder
from hpo.runners import fused, inline, processes
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from hpo.trial import Decision
from tests import toy
from tests.loop.searching import check_sound, history
from tests.runners.driving import fidelities, next_events, suggestion, train
from tests.runners.workers import wait_for
from trainables.store.progress_files import ProgressFile

RUNNERS = {"inline": inline, "processes": processes, "fused": fused}


class SecondEpochHangs(toy.Curve):
    """Its second epoch writes $HPO_TOY_LOG.hanging and does not end, unless $HPO_TOY_LOG.mended exists."""

    def step(self) -> Mapping[str, float]:
        metrics = super().step()
        log = os.environ["HPO_TOY_LOG"]
        if self.epoch == 2 and not Path(f"{log}.mended").exists():
            with Path(f"{log}.hanging").open("a") as file:
                file.write("hangs\n")
            while True:
                time.sleep(0.1)
        return metrics


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the toy writes down the epochs that it trains."""
    monkeypatch.setenv("HPO_TOY_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The ledger of a study that has begun."""
    (tmp_path / "s").mkdir()
    ledger = StudyFolder(tmp_path / "s", toy.space(), Settings(), Budget()).begin()
    yield ledger
    ledger.close()


def wait_in_the_second_epoch(runner: Runner, ledger: Ledger, hanging: Path, *, is_inline: bool) -> list[object]:
    """Train until the second epoch hangs, and return the events until the time is up, a moment later."""
    runner.start(suggestion(until=3), after=0)
    assert fidelities(next_events(runner)) == [1]
    runner.settle(0, Decision.CONTINUE)
    if not is_inline:  # it hangs only while one waits for its events
        wait_for(lambda: not list(runner.events()) and hanging.exists())
    budget = Budget(seconds=ledger.elapsed)
    return list(time_limit.wait_for_events(runner, budget, ledger, grace=1.0 if is_inline else 0.1))


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNERS)
def test_a_budget_of_time_ends_an_epoch_that_never_returns(
    tmp_path: Path, log: Path, ledger: Ledger, name: str
) -> None:
    job, hanging = Job(toy.space(high=3), 0, tmp_path, SecondEpochHangs), Path(f"{log}.hanging")

    def build() -> Runner:
        runner: Runner = RUNNERS[name].build(job, tmp_path / "checkpoints", devices="cpu", slots=1)
        return runner

    runner = build()
    try:
        assert wait_in_the_second_epoch(runner, ledger, hanging, is_inline=name == "inline") == []
        assert hanging.exists()
    finally:
        runner.close()
    Path(f"{log}.mended").touch()
    runner = build()
    try:
        assert fidelities(train(runner, suggestion(until=3), after=1)) == [2, 3]
    finally:
        runner.close()


@pytest.mark.slow
def test_a_search_whose_time_ends_in_an_epoch_that_never_returns_goes_on_later(tmp_path: Path, log: Path) -> None:
    settings = Settings("random", runner="inline", devices="cpu")
    reason = begin(tmp_path / "s", toy.space(high=3), settings, Budget(seconds=1), session=Session(SecondEpochHangs))
    assert reason == "the budget of 1s is spent"
    assert Path(f"{log}.hanging").exists()
    assert history(tmp_path / "s").trials[0].state is State.RUNNING
    Path(f"{log}.mended").touch()
    resume(tmp_path / "s", Budget(trials=1), session=Session(SecondEpochHangs))
    check_sound(history(tmp_path / "s"))
    assert history(tmp_path / "s").trials[0].state is State.COMPLETE


@pytest.mark.slow
def test_a_budget_of_time_ends_a_search_in_a_thread_too(tmp_path: Path, log: Path, ledger: Ledger) -> None:
    job, events = Job(toy.space(high=3), 0, tmp_path, SecondEpochHangs), list[object]()
    runner = processes.build(job, tmp_path / "checkpoints", devices="cpu", slots=1)
    hanging = Path(f"{log}.hanging")
    thread = threading.Thread(
        target=lambda: events.append(wait_in_the_second_epoch(runner, ledger, hanging, is_inline=False))
    )
    try:
        thread.start()
        thread.join(120)
        assert events == [[]]
    finally:
        runner.close()


def test_an_epoch_that_ends_in_the_grace_is_reported(tmp_path: Path, log: Path, ledger: Ledger) -> None:
    job = Job(toy.space(), 0, tmp_path, toy.WaitsForFile)
    runner = inline.build(job, tmp_path / "checkpoints", devices="cpu")
    end_of_epoch = threading.Timer(0.2, Path(f"{log}.go").touch)
    try:
        runner.start(suggestion(until=1), after=0)
        end_of_epoch.start()
        events = time_limit.wait_for_events(runner, Budget(seconds=0), ledger, grace=60)
        assert fidelities(events) == [1]
    finally:
        end_of_epoch.join()
        runner.close()


@contextlib.contextmanager
def preparing_until(path: Path) -> Iterator[None]:
    """Data are prepared until a file exists, so that the start of a worker does not count as time without a report."""
    folder = Path(os.environ["HPO_CACHE"])
    folder.mkdir(exist_ok=True)
    preparation = ProgressFile(folder / "images.progress", "images")
    preparation(0.5)

    def end() -> None:
        wait_for(path.exists)
        preparation.end()

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.slow
@pytest.mark.skipif(os.environ["HPO_CACHE"].lower() == "off", reason="data are prepared only for the store")
@pytest.mark.parametrize(("runner", "n_trials"), [("inline", 2), ("processes", 1), ("fused", 1)])
def test_a_trial_without_a_report_for_too_long_crashes_and_the_search_goes_on(
    tmp_path: Path, log: Path, runner: str, n_trials: int
) -> None:
    settings = Settings("random", runner="inline", devices="cpu", slots=1, report_timeout=60.0)
    begin(tmp_path / "s", toy.space(high=3), settings, Budget(epochs=1), session=Session(SecondEpochHangs))
    hanging, new = Path(f"{log}.hanging"), {"runner": runner, "report_timeout": 1}
    with preparing_until(hanging):
        resume(tmp_path / "s", Budget(trials=n_trials), session=Session(SecondEpochHangs), settings=new)
    assert len(hanging.read_text().splitlines()) == n_trials
    trials = history(tmp_path / "s").trials
    assert [trial.state for trial in trials.values()] == [State.CRASHED] * n_trials
    assert {(trial.crash.kind, trial.crash.error) for trial in trials.values() if trial.crash} == {
        ("Hung", "it sent no report for 1 seconds after epoch 1")
    }
    assert StudyFolder.reopen(tmp_path / "s").settings.report_timeout == 1
