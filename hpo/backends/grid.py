"""Grid search: every combination once, each trained to full fidelity, then done.

A hyperparameter multiplies the grid only where it is active. The first of the space varies slowest.
"""

from __future__ import annotations

from collections.abc import Iterator

from hpo.backends._backend import Backend
from hpo.backends._full_fidelity import FullFidelity
from hpo.backends._options import no_others
from hpo.errors import Mistake
from hpo.space import Categorical, SearchSpace
from hpo.trial import Config, Scalar


def build(space: SearchSpace, *, seed: int, **unknown: object) -> Backend:
    """Grid search over `space`; it has no options, and the seed changes nothing.

    Raises Mistake where a range does not say by `points` how many of its values the grid takes.
    """
    no_others(unknown, ())
    ranges = [
        name for name, domain in space.domains.items() if not isinstance(domain, Categorical) and domain.points is None
    ]
    if ranges:
        mend = " ".join(f"--set space.{name}.points=5" for name in ranges)
        raise Mistake(f"a grid needs `points`, how many values to take, of each range: {', '.join(ranges)} (as {mend})")
    return FullFidelity(space, _combinations(space))


def _combinations(space: SearchSpace) -> Iterator[Config]:
    """All combinations, one at a time, so that a huge grid costs no memory."""
    names = tuple(space.domains)

    def extend(config: dict[str, Scalar], depth: int) -> Iterator[Config]:
        if depth == len(names):
            yield config
        elif not space.active(name := names[depth], config):
            yield from extend(config, depth + 1)
        else:
            for value in space.domains[name].grid():
                yield from extend({**config, name: value}, depth + 1)

    return extend({}, 0)
