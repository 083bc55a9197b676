"""What a search can be played on, by name: LCBench's surrogate, synthetic curves and recorded curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.synthetic_curves import FUNCTIONS, SHAPES, SyntheticCurves
from hpo.errors import UnknownName
from hpo.space import SearchSpace
from hpo.trial import Config


class Problem(Protocol):
    """Learning curves over a space, and what is known of their final values."""

    name: str
    space: SearchSpace
    best: float
    """The lowest known final value: a regret of 0."""

    @property
    def median(self) -> float:
        """The median final value of random configurations: a regret of 1."""
        ...

    def curve(self, config: Config, epoch: int) -> Mapping[str, float]:
        """The metrics of a configuration after an epoch, as a backend is told them."""
        ...

    def final(self, config: Config) -> float:
        """The objective of a configuration after the last epoch, without noise. It is finite."""
        ...


SYNTHETIC = (
    "hart6-crossing",
    "hart6-noisy",
    "branin-diverging",
    "hart6-silent",
    "hart6-misleading",
    "branin-crossing@5",
    "hart6in12-crossing@300",
)
"""The problems of the group `synthetic`."""
GROUPS: Mapping[str, Sequence[str]] = {"synthetic": SYNTHETIC}


@dataclass(frozen=True)
class Choice:
    """Which problems are played."""

    names: Sequence[str]
    """Groups, or single problems."""
    every: int = 1
    """Take only every so many of each group."""

    def expanded(self) -> list[str]:
        """The names of the single problems. Raises UnknownName if there is no such problem."""
        found: list[str] = []
        for name in self.names:
            found += _group(name)[:: self.every]
        return list(dict.fromkeys(found))


def _group(name: str) -> Sequence[str]:
    if name in GROUPS:
        return GROUPS[name]
    function, _, shape = name.partition("@")[0].partition("-")
    if function in FUNCTIONS and shape in SHAPES:
        return [name]
    known = [*GROUPS, *(f"{function}-{shape}" for function in FUNCTIONS for shape in SHAPES)]
    raise UnknownName("problem", name, known)


def problem(name: str, *, seed: int, noise: float = 0.0) -> Problem:
    """The problem of that name. `seed` is that of the noise of its curves, `noise` the size of the noise of LCBench."""
    return SyntheticCurves(name, seed)
