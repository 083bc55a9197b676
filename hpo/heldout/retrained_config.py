"""The hyperparameters that a trial is trained again with: those of the search, without what ends a training early."""

from __future__ import annotations

from collections.abc import Collection

from hpo.record import Trial
from hpo.space import SearchSpace
from hpo.trial import Config

EARLY_STOPPING = ("patience", "window")
"""The hyperparameters that let a trial stop early. Retraining ignores them and always ends at the stopping epoch."""
PROBE_PATIENCE, PROBE_STOP = "probe_patience", "probe_stop_epoch"
"""The hyperparameters that end the probe of a training in phases: by its validation loss, and after an epoch."""


def without_early_stopping(config: Config, *, refits: bool) -> Config:
    """Return hyperparameters without those of early stopping. `refits` is that of `Job`."""
    return _without(config, (*EARLY_STOPPING, PROBE_PATIENCE) if refits else EARLY_STOPPING)


def retrained_config(space: SearchSpace, trial: Trial, *, refits: bool) -> Config:
    """Return the hyperparameters that a trial is trained again with. `refits` is that of `Job`.

    A refit has no validation loss that could end its probe. So the probe has as many epochs as in the search, and its
    schedule is that of the search. All hyperparameters are returned then, fixed ones too.
    """
    if not refits:
        return without_early_stopping(trial.config, refits=False)
    settings = {**space.fixed, **trial.config}
    config = without_early_stopping(settings, refits=True)
    if settings.get(PROBE_PATIENCE) is None or trial.reports[-1].metrics.get("phases_left") is None:
        return config
    n_epochs = sum(report.metrics.get("phases_left", 0) > 0 for report in trial.reports)
    return {**config, PROBE_STOP: max(1, n_epochs)}


def _without(config: Config, keys: Collection[str]) -> Config:
    return {key: value for key, value in config.items() if key not in keys}
