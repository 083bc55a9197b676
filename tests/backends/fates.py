"""What is to become of the trials of a simulated search, whatever the backend decides."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum


class Fate(Enum):
    """What is to become of one trial."""

    FINE = "fine"
    INFINITE = "infinite"
    """Its loss is inf in every epoch."""
    NAN = "nan"
    """Its loss is NaN in every epoch."""
    CRASH = "crash"
    """It crashes at an epoch of its own, perhaps before the first."""
    EARLY = "early"
    """It ends itself at an epoch of its own, with a finite loss."""
    DIVERGE = "diverge"
    """It ends itself at an epoch of its own, with a loss of inf."""


Draw = Callable[[int, random.Random], Fate]
"""Draws the fate of a trial, by its number."""


def fates(**shares: float) -> Draw:
    """A share of the trials for each fate, by its name; the rest is fine."""

    def fate(number: int, rng: random.Random) -> Fate:
        names = list(shares)
        weights = [shares[name] for name in names]
        return Fate(rng.choices([*names, "fine"], [*weights, 1 - sum(weights)])[0])

    return fate


FINE = fates()
MIXED = fates(infinite=0.1, nan=0.1, crash=0.1, early=0.1, diverge=0.1)
