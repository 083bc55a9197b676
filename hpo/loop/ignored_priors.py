"""A note before a search begins: its backend ignores the priors of the space."""

from __future__ import annotations

from hpo.backends._backend import Backend, uses_priors
from hpo.space import SearchSpace


def priors_note(space: SearchSpace, name: str, backend: Backend) -> str | None:
    """A line that names the hyperparameters whose `prior` the backend of this name ignores. None if there are none."""
    ignored = [hyperparameter for hyperparameter, domain in space.domains.items() if domain.prior]
    if not ignored or uses_priors(backend):
        return None
    return f"the backend {name} ignores the `prior` of {', '.join(ignored)}"
