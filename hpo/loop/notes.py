"""The notes that a user gets before a new search begins."""

from __future__ import annotations

from hpo import plugins
from hpo.backends._backend import Backend
from hpo.loop.ignored_priors import priors_note
from hpo.loop.round_size import budget_note
from hpo.loop.simulated_settings import simulation_note
from hpo.record import Budget, Settings
from hpo.space import SearchSpace


def notes(space: SearchSpace, settings: Settings, budget: Budget, backend: Backend) -> list[str]:
    """One line each: how trials are trained, a small budget, ignored priors, and settings that have no effect."""
    n_devices = settings.devices_per_trial
    found = (
        f"{n_devices} devices train each trial together" if n_devices > 1 else None,
        simulation_note(settings),
        budget_note(space, settings, budget),
        priors_note(space, settings.backend, backend),
    )
    return [*(note for note in found if note is not None), *plugins.notices(space)]
