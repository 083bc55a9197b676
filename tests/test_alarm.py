from __future__ import annotations

import signal
import time

import pytest

from hpo.alarm import interrupted_after


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


def test_the_time_while_unless_is_true_does_not_count_even_if_it_ends_at_the_alarm() -> None:
    answers: list[bool] = []

    def unless() -> bool:
        answers.append(len(answers) < 4)
        return answers[-1]

    with pytest.raises(Inner), interrupted_after(0.2, Inner, unless=unless):
        time.sleep(60)
    assert answers[:5] == [True, True, True, True, False]


def test_an_alarm_that_waits_does_not_keep_the_outer_one_from_its_time() -> None:
    with pytest.raises(TimeIsUp), interrupted_after(0.3, TimeIsUp), interrupted_after(0.1, Inner, unless=lambda: True):
        time.sleep(60)
    with interrupted_after(0.1, Inner, unless=lambda: True):
        time.sleep(0.3)


def test_the_alarm_of_other_code_is_kept() -> None:
    seen: list[int] = []
    handler = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 60)
        with pytest.raises(TimeIsUp), interrupted_after(0.05, TimeIsUp):
            time.sleep(60)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with interrupted_after(60, TimeIsUp):
            time.sleep(0.2)
        assert seen == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_nothing_is_left_of_an_alarm() -> None:
    handler = signal.getsignal(signal.SIGALRM)
    with interrupted_after(60, TimeIsUp):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) is handler
