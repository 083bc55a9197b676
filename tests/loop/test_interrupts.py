from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.backends._truncated_normal import SeededTruncatedNormal
from hpo.loop import Session, begin, resume
from hpo.loop.interrupts import SIGNALS, deferred_interrupt
from hpo.record import Budget, Settings
from tests import toy
from tests.loop.searching import check_sound, history


@pytest.fixture(autouse=True)
def ctrl_c_interrupts() -> Iterator[None]:
    """Each signal raises KeyboardInterrupt, also if the tests run in the background of a shell, which ignores some."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_comes_at_the_end_of_the_block(number: int) -> None:
    steps = []

    def swallow() -> None:
        with deferred_interrupt():
            try:
                interrupt(number)
                steps.append("went on")
            except KeyboardInterrupt:
                steps.append("swallowed")

    with pytest.raises(KeyboardInterrupt):
        swallow()
    assert steps == ["went on"]
    with pytest.raises(KeyboardInterrupt):
        interrupt(number)


class Noting:
    """A handler that is told of its signal at once."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def __call__(self, number: int, frame: object) -> None:
        self.steps.append("called")
        raise KeyboardInterrupt

    def notice(self, number: int) -> None:
        self.steps.append("noticed")

    def interrupt(self) -> None:
        self.steps.append("interrupts")
        raise KeyboardInterrupt


def test_a_handler_may_learn_of_its_signal_before_it_interrupts() -> None:
    handler = Noting()
    signal.signal(signal.SIGINT, handler)

    def work(n_interrupts: int) -> None:
        with deferred_interrupt():
            for _ in range(n_interrupts):
                interrupt()
            handler.steps.append("went on")

    with pytest.raises(KeyboardInterrupt):
        work(1)
    assert handler.steps == ["noticed", "went on", "interrupts"]
    with pytest.raises(KeyboardInterrupt):
        work(2)
    assert handler.steps[3:] == ["noticed", "called", "interrupts"]


def test_in_a_thread_nothing_is_deferred() -> None:
    before = signal.getsignal(signal.SIGINT)

    def enter() -> None:
        with deferred_interrupt():
            assert signal.getsignal(signal.SIGINT) is before

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before


def test_bohb_can_be_resumed_after_ctrl_c_while_it_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HpBandSter catches every exception around this draw, and would go on with a random configuration."""
    draw, n_draws = SeededTruncatedNormal.rvs, 0

    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal n_draws
        n_draws += 1
        if n_draws == 100:
            interrupt()
        return draw(*arguments, **keywords)

    monkeypatch.setattr(SeededTruncatedNormal, "rvs", interrupted)
    settings = Settings("bohb", runner="inline", devices="cpu", seed=3)
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "s", toy.space(fault="none"), settings, Budget(trials=60), session=Session(toy.build))
    assert n_draws >= 100
    assert len(history(tmp_path / "s").trials) < 60
    resume(tmp_path / "s", session=Session(toy.build))
    assert len(history(tmp_path / "s").trials) == 60
    check_sound(history(tmp_path / "s"))
