"""The configurations of new trials: queued ones first, then what the sampler of a backend draws, none of them twice.

A configuration is drawn again if it was given before. If the repeats go on, the last draw is changed as little as
needed: as many of its values as possible are kept, and a number moves to the nearest one that is left. The given values
of a queued configuration are never changed. All this follows from the seed and the number of configurations so far, so
a replay gives the same answers.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from collections.abc import Callable
from itertools import count
from types import MappingProxyType

from hpo.backends._prior import draw
from hpo.space import Categorical, Domain, SearchSpace
from hpo.space.values import comparison_key
from hpo.trial import Config, Value

N_DRAWS = 3
"""The default of `n_draws`."""

Prefix = tuple[object, ...]
"""The first values of a configuration, in the order of the space."""


class Configurations:
    """Gives each new trial its configuration. See the top of the file."""

    def __init__(self, space: SearchSpace, seed: int, n_draws: int = N_DRAWS, *, uses_priors: bool = False) -> None:
        """`n_draws` is the number of draws, one after another, that may be repeats. Then the last draw is changed.

        `uses_priors` says whether what a queued configuration lacks is drawn from the priors of the space.
        """
        self.uses_priors = uses_priors
        self._space = space
        self._seed = seed
        self._n_draws = n_draws
        self._queue: deque[tuple[Config, bool]] = deque()
        """The queued configurations, each with whether an earlier trial had it already."""
        self._taken = _TakenConfigurations(space)

    def enqueue(self, config: Config) -> None:
        """Queue a configuration for a later new trial. If an earlier trial has it already, it is tried again.

        It may be partial. When no configuration with its values is left, it is dropped.
        """
        self._queue.append((config, self.is_taken(config)))
        self._drop_queued()

    @property
    def are_queued(self) -> bool:
        """Whether a configuration is queued."""
        return bool(self._queue)

    @property
    def are_exhausted(self) -> bool:
        """Whether no configuration is left: none is queued, and every one of the space was given."""
        return not self._queue and self._taken.are_all

    def is_taken(self, config: Config) -> bool:
        """Whether an earlier trial has this configuration."""
        return config in self._taken

    def next(self, draw: Callable[[], Config], choose: Callable[[str], Value] | None = None) -> Config:
        """The configuration of the next trial. At least one must be left.

        Args:
            draw: draws a configuration of the space.
            choose: gives the value of a hyperparameter, by name, that a queued configuration lacks. By default it is
                drawn at random.
        """
        rng = random.Random(f"configurations {self._seed}/{len(self._taken)}")
        if self._queue:
            given, is_repeat = self._queue.popleft()
            config: Config = self._space.completed(given, choose or (lambda name: self._drawn(name, rng)))
            if config in self._taken and not is_repeat:
                config = self._taken.changed(config, rng, given)
        else:
            draws = (draw() for _ in range(self._n_draws))
            drawn = next(draws)
            while drawn in self._taken and (again := next(draws, None)) is not None:
                drawn = again
            config = self._taken.changed(drawn, rng) if drawn in self._taken else drawn
        self._taken.add(config)
        self._drop_queued()
        return config

    def _drawn(self, name: str, rng: random.Random) -> Value:
        domain = self._space.domains[name]
        return draw(domain, rng) if self.uses_priors else domain.sample(rng)

    def next_again(self, recorded: Config) -> Config:
        """The same as `next`, whose answer is on record. Nothing is drawn."""
        if self._queue:
            self._queue.popleft()
        self._taken.add(recorded)
        self._drop_queued()
        return recorded

    def _drop_queued(self) -> None:
        """Drop the next queued configurations of which nothing is left. So of equal ones only the first is tried."""
        while self._queue and not self._queue[0][1] and not self._taken.is_left(self._queue[0][0]):
            self._queue.popleft()


class _TakenConfigurations:
    """The configurations that trials have, as a tree: the number of them under each path of first values."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._names = tuple(space.domains)
        self._n_under: Counter[Prefix] = Counter()
        """The number of different configurations that begin with a path. The empty path counts all of them."""
        self._n_added = 0
        self._sizes: dict[tuple[int, Prefix], float] = {}
        """The number of all configurations that begin with a path, by its length and the values that it depends on."""
        self._parents = [
            [
                name
                for name in self._names[:depth]
                if any(name in space.domains[later].when for later in self._names[depth:])
            ]
            for depth in range(len(self._names) + 1)
        ]
        """For each depth, the hyperparameters before it on which the conditions of later ones depend."""

    def __len__(self) -> int:
        """The number of configurations that were added. Repeats count."""
        return self._n_added

    def __contains__(self, config: Config) -> bool:
        return self._path(config) in self._n_under

    def add(self, config: Config) -> None:
        """Add a configuration. It may be there already."""
        self._n_added += 1
        path = self._path(config)
        if path not in self._n_under:
            self._n_under.update(path[:depth] for depth in range(len(path) + 1))

    @property
    def are_all(self) -> bool:
        """Whether every configuration of the space was added."""
        return self._n_under[()] >= self._size(0, {})

    def is_left(self, given: Config, before: Config = MappingProxyType({}), depth: int = 0) -> bool:
        """Whether a configuration with the `given` values was not added. They may be some of the values, or none.

        Only the configurations count whose first values, up to `depth`, are those of `before`.
        """
        if self._path(before, depth) not in self._n_under:
            return True
        if depth == len(self._names):
            return False
        name = self._names[depth]
        if not self._space.active(name, before):
            return self.is_left(given, before, depth + 1)
        if name in given:
            return self.is_left(given, {**before, name: given[name]}, depth + 1)
        domain = self._space.domains[name]
        return domain.n_values == math.inf or any(
            self.is_left(given, {**before, name: domain.value_at(index)}, depth + 1)
            for index in range(int(domain.n_values))
        )

    def changed(self, config: Config, rng: random.Random, given: Config = MappingProxyType({})) -> Config:
        """A configuration that was not added, with the `given` values and as many of `config` as possible.

        There must be one.
        """
        new: dict[str, Value] = {}
        for depth, name in enumerate(self._names):
            if not self._space.active(name, new):
                continue
            domain = self._space.domains[name]
            value = config[name] if name in config else domain.sample(rng)

            def leads_on(value: Value, depth: int = depth, name: str = name) -> bool:
                before = {**new, name: value}
                return self.is_left(given, before, depth + 1) if given else not self._is_exhausted(depth + 1, before)

            new[name] = value if leads_on(value) else self._value_left(domain, value, leads_on, rng)
        return new

    def _value_left(self, domain: Domain, value: Value, leads_on: Callable[[Value], bool], rng: random.Random) -> Value:
        """A value of a domain that leads to a configuration that was not added: the nearest number, or any choice."""

        def is_left(index: int) -> bool:
            return leads_on(domain.value_at(index))

        if isinstance(domain, Categorical):
            return domain.value_at(rng.choice([index for index in range(domain.n_values) if is_left(index)]))
        if domain.n_values == math.inf:
            return domain.sample(rng)  # the same number is not drawn twice
        assert isinstance(value, int | float)
        start, last = domain.index_of(value), int(domain.n_values) - 1
        around = (index for offset in count() for index in (start + offset, start - offset) if 0 <= index <= last)
        return domain.value_at(next(index for index in around if is_left(index)))

    def _is_exhausted(self, depth: int, config: Config) -> bool:
        """Whether every configuration that begins with the values of `config`, up to `depth`, was added."""
        return self._n_under[self._path(config, depth)] >= self._size(depth, config)

    def _path(self, config: Config, depth: int | None = None) -> Prefix:
        """The first values of a configuration, up to `depth`. Those that are not active have an empty value."""
        return tuple(comparison_key(config[name]) if name in config else () for name in self._names[:depth])

    def _size(self, depth: int, config: Config) -> float:
        """The number of configurations that begin with the values of `config`, up to `depth`."""
        if depth == len(self._names):
            return 1
        key = depth, tuple(comparison_key(config[name]) if name in config else () for name in self._parents[depth])
        if key not in self._sizes:
            self._sizes[key] = self._count(depth, config)
        return self._sizes[key]

    def _count(self, depth: int, config: Config) -> float:
        name = self._names[depth]
        domain = self._space.domains[name]
        if not self._space.active(name, config):
            return self._size(depth + 1, config)
        if name not in self._parents[depth + 1]:
            return domain.n_values * self._size(depth + 1, config)
        total = 0.0
        for index in range(int(domain.n_values)):  # only choices have conditions that depend on them
            total += self._size(depth + 1, {**config, name: domain.value_at(index)})
            if total == math.inf:
                break
        return total
