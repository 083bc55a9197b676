"""How the backend of a study is built from its settings, and checked."""

from __future__ import annotations

import inspect

from hpo import plugins
from hpo.backends._backend import Backend, LearnsFromEarlier, PlansForBudget
from hpo.errors import UserError
from hpo.loop.first_configurations import enqueue_first
from hpo.record import Settings
from hpo.space import SearchSpace
from hpo.trial import EarlierStudy


def build_backend(space: SearchSpace, settings: Settings, earlier: EarlierStudy | None = None) -> Backend:
    """Build the backend of a study, ready for its first `ask`. Raises the errors of `new_backend` and `prepare`."""
    backend = new_backend(space, settings)
    prepare(backend, space, settings, earlier)
    return backend


def new_backend(space: SearchSpace, settings: Settings) -> Backend:
    """Build a backend that knows nothing but its space, seed and options.

    Raises a UserError if an option is unknown, if the plug-in does not return a backend, or if the backend plans for
    the budget but takes no recorded suggestions.
    """
    build = plugins.load(plugins.BACKENDS, settings.backend).build
    try:
        inspect.signature(build).bind(space, **{"seed": settings.seed, **settings.options})
        if {"space", "seed"} & set(settings.options):
            raise TypeError("`space` and `seed` are not options")
    except TypeError as error:
        raise UserError(f"backend {settings.backend!r}: {error}") from None
    backend: Backend = build(space, seed=settings.seed, **settings.options)
    if missing := [name for name in ("ask", "tell") if not callable(getattr(backend, name, None))]:
        raise UserError(f"backend {settings.backend!r}: what its `build` returned has no method `{missing[0]}`")
    if isinstance(backend, PlansForBudget) and not getattr(backend, "takes_all_recorded", False):
        raise UserError(
            f"backend {settings.backend!r}: a backend with the method `plan` needs `replay` and `takes_all_recorded`, "
            "or its studies could not be resumed"
        )
    return backend


def prepare(backend: Backend, space: SearchSpace, settings: Settings, earlier: EarlierStudy | None) -> None:
    """Tell a new backend which configurations to try first, and the earlier study from which it learns.

    Raises a UserError if the backend takes no given configurations, or if it does not learn.
    """
    enqueue_first(backend, space, settings)
    if earlier is not None:
        if not isinstance(backend, LearnsFromEarlier):
            raise UserError(
                f"backend {settings.backend!r} cannot learn from an earlier study: it has no method `learn`"
            )
        backend.learn(earlier)
