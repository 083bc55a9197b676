"""What a backend is. A backend decides; it trains nothing, writes nothing, and knows no runner.

A file of this folder (or a module named by an entry point of the group `hpo.backends`) offers

    build(space: SearchSpace, *, seed: int, **options) -> Backend

Two promises make a study resumable by replay, and every backend of every user gets resume for them:

- Given the same space, seed, options and the same calls, a backend gives the same answers.
- An `ask` that answers "wait" or "done" leaves the backend as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from hpo.trial import Crash, Decision, Report, Suggestion

Answer = Suggestion | Literal["wait", "done"]


class Backend(Protocol):
    """Decides which configuration trains next, how far, and which trials end early."""

    def ask(self, *, new: bool = True) -> Answer:
        """The next thing to train. The search loop calls it whenever a slot is free.

        A new trial takes the next number, counted from 0; a known number with a higher `until` is
        a promotion. Promotions come before new trials. "wait" says that only a later `tell` can
        bring the next suggestion; "done" that there will be none.

        With `new` false the study's budget of trials is spent: only promotions are wanted, "wait"
        while one may still come of trials that are running, else "done".
        """
        ...

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        """Take in one event; return the fate of each trial that it settles.

        Called once for each epoch of each trial, in the order in which they happened. A trial left
        out of the answer goes on. At `fidelity == until` below the top rung the reporting trial
        must be settled: PAUSE if it may be promoted later, STOP if not; paused trials that a rung
        rules out are settled STOP when it does. At the top rung, with `last`, or on a Crash the
        trial has ended by itself and needs no decision. A loss of inf, and a Crash, count as the
        worst; neither is an error.
        """
        ...
