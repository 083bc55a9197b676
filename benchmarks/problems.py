"""What a search can be played on, by name: LCBench's surrogate, synthetic curves and recorded curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks import lcbench, recorded_curves
from benchmarks.synthetic_curves import FUNCTIONS, SHAPES, SyntheticCurves
from hpo.errors import UnknownName, UserError
from hpo.space import SearchSpace
from hpo.trial import Config


class Problem(Protocol):
    """Learning curves over a space, and what is known of their final values."""

    name: str
    space: SearchSpace

    @property
    def best(self) -> float:
        """The lowest known final value: a regret of 0."""
        ...

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
GROUPS = ("lcbench", "lcbench-held-out", "synthetic", "tables")
"""The names of groups of problems. `lcbench` are the data sets for development."""


@dataclass(frozen=True)
class Choice:
    """Which problems are played."""

    names: Sequence[str]
    """Groups, or single problems."""
    every: int = 1
    """Take only every so many of each group."""
    held_out: bool = False
    """Whether the data sets of LCBench that are held out may be played."""

    def expanded(self) -> list[str]:
        """The names of the single problems.

        Raises UnknownName if there is no such problem, and a UserError if one is held out and they may not be played.
        """
        found = [single for name in self.names for single in _group(name)[:: self.every]]
        if not self.held_out and any(name.startswith("lcbench/") for name in found):
            for name in found:
                if name in lcbench.instances(held_out=True):
                    raise UserError(f"{name} is held out, for judging only, not for development; --held-out plays it")
        return list(dict.fromkeys(found))


def _group(name: str) -> Sequence[str]:
    """The problems of a group, or the single problem of that name."""
    match name:
        case "synthetic":
            return SYNTHETIC
        case "tables":
            return recorded_curves.names()
        case "lcbench" | "lcbench-held-out":
            return lcbench.instances(held_out=name == "lcbench-held-out")
    function, _, shape = name.partition("@")[0].partition("-")
    if function in FUNCTIONS and shape in SHAPES and (name.partition("@")[2] or "1").isdecimal():
        return [name]
    known = [*GROUPS, *recorded_curves.names(), *(f"{function}-{shape}" for function in FUNCTIONS for shape in SHAPES)]
    if name.startswith("lcbench/"):
        known += [*lcbench.instances(held_out=False), *lcbench.instances(held_out=True)]
    if name not in known:
        raise UnknownName("problem", name, known)
    return [name]


def problem(name: str, *, seed: int, noise: float = 0.0) -> Problem:
    """The problem of that name.

    `seed` is that of the noise of its curves. `noise` is the size of the noise of LCBench, see `LCBench`; the other
    problems have a noise of their own.
    """
    if name.startswith("lcbench/"):
        return lcbench.LCBench(name, seed=seed, noise=noise)
    if name in recorded_curves.names():
        return recorded_curves.RecordedCurves(name)
    return SyntheticCurves(name, seed)
