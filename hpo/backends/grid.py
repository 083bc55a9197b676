"""Grid search: every combination of values once, each trained for the maximum number of epochs.

A hyperparameter adds combinations only where it is active. The first hyperparameter of the space varies slowest.
Queued configurations come first. If one of them is a combination of the grid, it is not trained again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hpo.backends._backend import Backend
from hpo.backends._configurations import Configurations
from hpo.backends._full_fidelity import FullFidelity
from hpo.backends._options import reject_unknown
from hpo.errors import UserError
from hpo.space import Categorical, SearchSpace
from hpo.trial import Config, Value


def build(space: SearchSpace, *, seed: int, **unknown: object) -> Backend:
    """Grid search over `space`. It has no options and ignores the seed.

    Each range must have `points`, the number of its values in the grid, or a step. Raises UserError if a range has
    neither, and UnknownName if an option is given.
    """
    reject_unknown("grid", unknown, ())
    ranges = [
        name
        for name, domain in space.domains.items()
        if not isinstance(domain, Categorical) and domain.points is None and domain.step is None
    ]
    if ranges:
        fix = " ".join(f"--set space.{name}.points=5" for name in ranges)
        raise UserError(
            f"a grid needs of each range `points`, the number of its values, or a `step`: {', '.join(ranges)} "
            f"(such as {fix})"
        )
    grid = replace(
        space, domains={name: Categorical(domain.grid(), when=domain.when) for name, domain in space.domains.items()}
    )
    configurations, combinations = Configurations(grid, 0), _combinations(grid)

    def next_config() -> Config | None:
        if configurations.are_queued:
            return configurations.next(dict, lambda name: grid.domains[name].grid()[0])
        new = next((config for config in combinations if not configurations.is_taken(config)), None)
        return None if new is None else configurations.next(lambda: new)

    return FullFidelity(space, configurations, next_config)


def _combinations(space: SearchSpace) -> Iterator[Config]:
    """Generate all combinations one by one, so that a huge grid needs no memory."""
    names = tuple(space.domains)

    def extend(config: dict[str, Value], depth: int) -> Iterator[Config]:
        if depth == len(names):
            yield config
        elif not space.active(name := names[depth], config):
            yield from extend(config, depth + 1)
        else:
            for value in space.domains[name].grid():
                yield from extend({**config, name: value}, depth + 1)

    return extend({}, 0)
