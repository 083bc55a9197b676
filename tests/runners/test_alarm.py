from __future__ import annotations

import signal
import time

import pytest

from hpo.runners._alarm import interrupted_after


class TimeIsUp(BaseException):
    pass


class Inner(BaseException):
    pass


def spin(for_ever: bool = True) -> None:
    while for_ever:
        pass


def sleep_twice() -> None:
    try:
        time.sleep(60)
    except TimeIsUp:
        time.sleep(60)


def sleep_with_an_alarm() -> None:
    with pytest.raises(Inner), interrupted_after(0.05, Inner):
        time.sleep(60)
    time.sleep(60)


def test_code_that_never_ends_is_interrupted() -> None:
    with pytest.raises(TimeIsUp), interrupted_after(0.05, TimeIsUp):
        spin()


def test_code_that_catches_the_error_once_is_interrupted_again() -> None:
    with pytest.raises(TimeIsUp), interrupted_after(0.05, TimeIsUp):
        sleep_twice()


def test_of_two_alarms_the_earlier_interrupts_and_the_later_is_kept() -> None:
    with pytest.raises(TimeIsUp), interrupted_after(0.05, TimeIsUp), interrupted_after(60, Inner):
        time.sleep(60)
    with pytest.raises(TimeIsUp), interrupted_after(0.2, TimeIsUp):
        sleep_with_an_alarm()


def test_nothing_is_left_of_an_alarm() -> None:
    handler = signal.getsignal(signal.SIGALRM)
    with interrupted_after(60, TimeIsUp):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) is handler
