"""Random searches on known functions: which hyperparameters matter is known, and so is where each trial stopped."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from hpo.record import History
from hpo.space import Categorical, Fidelity, Float, SearchSpace
from hpo.trial import Config, Crash, Report, Suggestion

SPACE = SearchSpace(
    "known",
    {
        "a": Float(0, 1),
        "b": Float(0, 1),
        "kind": Categorical(("x", "y", "z")),
        "m": Float(1e-3, 1, log=True, when={"kind": ("x",)}),
    },
    Fidelity(9),
)
Function = Callable[[Config, random.Random], float]
Epochs = Callable[[int], int]
"""The number of epochs of a trial."""


def number(config: Config, name: str) -> float:
    value = config[name]
    assert isinstance(value, int | float)
    return float(value)


def only_a(config: Config, rng: random.Random) -> float:
    return 4 * (number(config, "a") - 0.3) ** 2


def nothing(config: Config, rng: random.Random) -> float:
    return rng.random()


def interaction(config: Config, rng: random.Random) -> float:
    return float((number(config, "a") > 0.5) != (number(config, "b") > 0.5))


def conditional(config: Config, rng: random.Random) -> float:
    return (math.log10(number(config, "m")) + 2) ** 2 if "m" in config else 2.0


def all_nine(trial: int) -> int:
    return 9


def searched(f: Function, n: int, epochs: Epochs = all_nine, *, seed: int = 0, crash_every: int = 0) -> History:
    """A random search of `n` trials. A loss falls with the epochs by the same amount for each, and has little noise."""
    rng, history = random.Random(seed), History(SPACE.fidelity.high)
    for trial in range(n):
        config = SPACE.sample(rng)
        history.append(Suggestion(trial, config, until=9))
        value, best = f(config, rng), math.inf
        for epoch in range(1, epochs(trial) + 1):
            loss = value + 2 / epoch + rng.gauss(0, 0.02)
            best = min(best, loss)
            history.append(Report(trial, epoch, best, {"val_loss": loss}, 1.0))
        if crash_every and trial % crash_every == 0:
            history.append(Crash(trial, "ValueError", "no"))
    return history
