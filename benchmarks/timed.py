"""A backend that hands on to another, and adds up what that takes: the sampler's share of the very search measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from hpo import plugins
from hpo.backends._backend import Answer, Backend
from hpo.space import SearchSpace
from hpo.trial import Crash, Decision, Report

spent = (0.0, 0.0)
"""Seconds in this process within backends, by the clock and of CPU time."""


class Timed:
    """A backend with a clock on it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def ask(self, *, new: bool = True) -> Answer:
        began = _now()
        answer = self._backend.ask(new=new)
        _add(began)
        return answer

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        began = _now()
        decisions = self._backend.tell(event)
        _add(began)
        return decisions


def build(space: SearchSpace, *, seed: int, backend: str, **options: Any) -> Timed:
    """The backend of that name, timed."""
    return Timed(plugins.load("hpo.backends", backend).build(space, seed=seed, **options))


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _add(began: tuple[float, float]) -> None:
    global spent
    now = _now()
    spent = (spent[0] + now[0] - began[0], spent[1] + now[1] - began[1])
