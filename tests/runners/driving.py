"""How tests drive a runner: the fixtures of a job that trains the toy, and functions that train its trials."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.runners._runner import Runner
from hpo.training.builder import Job
from hpo.trial import Crash, Decision, Report, Suggestion
from tests import toy
from tests.runners.workers import SECONDS

Build = Callable[[Job, Path], Runner]


def suggestion(trial: int = 0, until: int = 9, **config: Any) -> Suggestion:
    return Suggestion(trial, {"kind": "b", "x": 0.5, **config}, until)


def next_events(runner: Runner) -> list[Report | Crash]:
    """The next events of a runner. Raises TimeoutError if there are none for a long time."""
    deadline = time.monotonic() + SECONDS
    while not (events := list(runner.events())):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no event for {SECONDS:g} seconds")
    return events


def train(runner: Runner, what: Suggestion, *, after: int = 0) -> list[Report | Crash]:
    """Let one trial run until it waits for a promotion or has ended; its events."""
    runner.start(what, after=after)
    events: list[Report | Crash] = []
    while True:
        events.extend(next_events(runner))
        runner.settle(what.trial, Decision.CONTINUE)
        event = events[-1]
        if isinstance(event, Crash) or event.last or event.fidelity == what.until:
            return events


def fidelities(events: list[Report | Crash]) -> list[int]:
    return [event.fidelity for event in events if isinstance(event, Report)]


def same(events: list[Report | Crash]) -> list[Report | Crash]:
    """Events without their times."""
    return [replace(event, seconds=0.0) if isinstance(event, Report) else event for event in events]


class ToyFixtures:
    """A job that trains the toy, the folder of its checkpoints and the log of its epochs, fresh for each test."""

    @pytest.fixture
    def checkpoints(self, tmp_path: Path) -> Path:
        return tmp_path / "checkpoints"

    @pytest.fixture
    def log(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Where the toy writes down each epoch that it really trains."""
        path = tmp_path / "trained.log"
        path.touch()
        monkeypatch.setenv("HPO_TOY_LOG", str(path))
        return path

    @pytest.fixture
    def job(self, tmp_path: Path, log: Path) -> Job:
        return Job(toy.space(), seed=7, data=tmp_path)

    @pytest.fixture
    def runner(self, build: Build, job: Job, checkpoints: Path) -> Iterator[Runner]:
        runner = build(job, checkpoints)
        yield runner
        runner.close()


class SharedRunner:
    """The fixtures of `ToyFixtures`, but one runner for all tests of a class: its workers take seconds to start.

    The fixture `build` must have the scope of the class.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        folder = tmp_path_factory.mktemp("shared")
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("HPO_TOY_LOG", str(folder / "trained.log"))
            yield folder

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoints(cls, folder: Path) -> Path:
        return folder / "checkpoints"

    @pytest.fixture(scope="class")
    @classmethod
    def job(cls, folder: Path) -> Job:
        return Job(toy.space(), seed=7, data=folder)

    @pytest.fixture(scope="class")
    @classmethod
    def shared(cls, build: Build, job: Job, checkpoints: Path) -> Iterator[Runner]:
        runner = build(job, checkpoints)
        yield runner
        runner.close()

    @pytest.fixture
    def log(self, folder: Path) -> Path:
        path = folder / "trained.log"
        path.write_text("")
        return path

    @pytest.fixture
    def runner(self, shared: Runner, checkpoints: Path) -> Iterator[Runner]:
        """The shared runner, without trials. If a test leaves one running, new workers serve the next test."""
        free = shared.free()
        yield shared
        if shared.free() < free:
            shared.close()
        shutil.rmtree(checkpoints)
        checkpoints.mkdir()
