"""Which calls of `ask` a replay computes."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from itertools import pairwise

import pytest

from hpo.backends._backend import Answer
from hpo.loop.replay import N_FIRST, N_LAST, N_SPREAD, Asks
from hpo.trial import Config, Crash, Decision, Report, Suggestion
from tests import toy

SPACE = toy.space()


class Drawing:
    """A backend that remembers which of its configurations it computed. Each depends on the trial's number alone."""

    def __init__(self) -> None:
        self.n_trials = 0
        self.computed: list[int] = []

    def ask(self, *, new: bool = True) -> Answer:
        self.computed.append(self.n_trials)
        return self._begin(SPACE.sample(random.Random(self.n_trials)))

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        return {}

    def _begin(self, config: Config) -> Suggestion:
        self.n_trials += 1
        return Suggestion(self.n_trials - 1, config, until=9)


class Replaying(Drawing):
    def replay(self, recorded: Suggestion) -> Answer:
        return self._begin(recorded.config)


def record(n: int) -> list[Answer]:
    backend = Drawing()
    return [backend.ask() for _ in range(n)]


def repeat(backend: Drawing, recorded: list[Answer], seconds: float = math.inf) -> list[Answer]:
    asks = Asks(backend, SPACE, len(recorded), seconds)
    return [asks.repeat(answer) for answer in recorded if isinstance(answer, Suggestion)]


def test_the_first_the_last_and_an_even_share_of_the_others_are_computed() -> None:
    backend, recorded = Replaying(), record(1000)
    assert repeat(backend, recorded) == recorded
    assert set(range(N_FIRST)) | set(range(1000 - N_LAST, 1000)) <= set(backend.computed)
    between = [number for number in backend.computed if N_FIRST <= number < 1000 - N_LAST]
    assert N_SPREAD <= len(between) <= N_SPREAD + 5
    assert max(after - before for before, after in pairwise(between)) < 30


def test_a_short_record_is_computed_wholly() -> None:
    backend, recorded = Replaying(), record(N_FIRST + N_SPREAD + N_LAST)
    assert repeat(backend, recorded) == recorded
    assert backend.computed == list(range(len(recorded)))


def test_when_the_time_for_checks_is_over_only_the_last_is_computed() -> None:
    backend, recorded = Replaying(), record(200)
    assert repeat(backend, recorded, seconds=0.0) == recorded
    assert backend.computed == [199]


def test_a_backend_without_replay_computes_all() -> None:
    backend, recorded = Drawing(), record(200)
    assert repeat(backend, recorded, seconds=0.0) == recorded
    assert len(backend.computed) == 200


@pytest.mark.parametrize("config", [{"kind": "b", "x": 7.0}, {"kind": "b"}, {}])
def test_a_recorded_configuration_outside_the_space_is_not_taken(config: Config) -> None:
    recorded = record(200)
    recorded[57] = Suggestion(57, config, 9)
    answers = repeat(Replaying(), recorded, seconds=0.0)
    assert [i for i in range(200) if answers[i] != recorded[i]] == [57]
