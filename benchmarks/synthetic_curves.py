"""Synthetic learning curves: test functions with known minima, and shapes that help or harm a search by early epochs.

The final value of a configuration is a function of it, scaled so that 0 is its minimum: Branin in 2 dimensions,
Hartmann's function in 6, and that function in 7, 12 or 15 dimensions, of which all but 6 do nothing. Its curve leads
there:

- crossing: a power law, whose speed depends on the configuration, so curves cross
- noisy: the same with ten times the noise
- diverging: a power law, and a quarter of the space becomes NaN after 1 to 10 epochs
- silent: until 40 % of the training all configurations look the same
- misleading: the better a configuration ends, the worse it begins
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hpo.space import Fidelity, SearchSpace
from hpo.space.domains import Float
from hpo.trial import Config

EPOCHS = 52
"""The epochs of a full training, unless a name says another number: as in LCBench."""
NOISE = 0.01
"""The standard deviation of the noise on each value, where 1 is about the range of the final values."""
NOISY = 0.1
"""That of the noisy curves."""
OFFSET = 0.3
"""What is added to all values, so that the losses are positive."""


def branin(x: Sequence[float]) -> float:
    """Branin's function on the unit square, minus its minimum, divided by 100."""
    a, b = 15 * x[0] - 5, 15 * x[1]
    bowl = (b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6) ** 2
    return (bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10 - 0.39788735772973816) / 100


_SCALES = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_WEIGHTS = np.array([1, 1.2, 3, 3.2])
_DEPTH = 3.3223680114155147


def hartmann6(x: Sequence[float]) -> float:
    """Hartmann's function of the first six coordinates, minus its minimum and scaled to the range from 0 to 1."""
    distances = (_SCALES * (np.asarray(x[:6]) - _CENTRES) ** 2).sum(1)
    return float((_DEPTH - _WEIGHTS @ np.exp(-distances)) / _DEPTH)


FUNCTIONS: Mapping[str, tuple[int, Callable[[Sequence[float]], float]]] = {
    "branin": (2, branin),
    "hart6": (6, hartmann6),
    "hart6in7": (7, hartmann6),
    "hart6in12": (12, hartmann6),
    "hart6in15": (15, hartmann6),
}
"""The functions, each with its number of dimensions."""
SHAPES = ("crossing", "noisy", "diverging", "silent", "misleading")


class SyntheticCurves:
    """The problem `<function>-<shape>`, or `<function>-<shape>@<epochs>`. See the top of the file."""

    best = OFFSET

    def __init__(self, name: str, seed: int) -> None:
        """`seed` is that of the noise. Raises KeyError or ValueError if there is no such problem."""
        self.name = name
        short, _, epochs = name.partition("@")
        function, _, self._shape = short.partition("-")
        if self._shape not in SHAPES:
            raise ValueError(f"{name}: the shape is one of {', '.join(SHAPES)}")
        self._dims, self._function = FUNCTIONS[function]
        self._epochs = int(epochs or EPOCHS)
        self._noise = NOISY if self._shape == "noisy" else NOISE
        self._seed = seed
        domains = {f"x{i}": Float(0.0, 1.0) for i in range(self._dims)}
        self.space = SearchSpace(name.replace("@", "-"), domains, Fidelity(self._epochs))
        self._values = lru_cache(maxsize=4096)(self._noisy_values)

    def curve(self, config: Config, epoch: int) -> Mapping[str, float]:
        """The validation loss after an epoch."""
        return {"val_loss": float(self._values(self._point(config))[epoch - 1])}

    def final(self, config: Config) -> float:
        """The validation loss after the last epoch, without noise. A diverged one is the worst of the function, 1."""
        x = self._point(config)
        return OFFSET + (1.0 if self._diverges_at(x) <= self._epochs else self._function(x))

    @cached_property
    def median(self) -> float:
        """The median final value of random configurations."""
        rng = random.Random(0)
        return float(np.median([self.final(self.space.sample(rng)) for _ in range(2000)]))

    def _point(self, config: Config) -> tuple[float, ...]:
        return tuple(float(config[f"x{i}"]) for i in range(self._dims))  # type: ignore[arg-type]

    def _diverges_at(self, x: Sequence[float]) -> float:
        """The first epoch without a finite loss, inf if all have one."""
        return 2 + int(10 * x[1]) if self._shape == "diverging" and x[0] > 0.75 else math.inf

    def _noisy_values(self, x: tuple[float, ...]) -> NDArray[np.float64]:
        rng = np.random.default_rng(np.frombuffer(np.array([self._seed, *x], float).tobytes(), np.uint32))
        values = OFFSET + self._clean(x) + self._noise * rng.standard_normal(self._epochs)
        return np.where(np.arange(1, self._epochs + 1) >= self._diverges_at(x), np.nan, values)

    def _clean(self, x: tuple[float, ...]) -> NDArray[np.float64]:
        """The values above the offset without noise, one for each epoch."""
        last, final = float(self._epochs), self._function(x)
        t: NDArray[np.float64] = np.arange(1, self._epochs + 1.0)
        match self._shape:
            case "silent":
                unknown = 1 / (1 + np.exp((t / last - 0.45) / 0.05))
                return final * (1 - unknown) + unknown
            case "misleading":
                return final + (1.6 - 2 * final) * np.exp(-t / (0.2 * last))
            case "diverging":
                return final + 0.7 * (1 / t - 1 / last)
        speed = 0.5 + 1.5 * x[-1]
        gained: NDArray[np.float64] = t**-speed - last**-speed
        return final + (0.5 + x[0]) * gained
