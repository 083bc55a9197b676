"""Which trials of a study may be averaged: those of one architecture that start from the same pretrained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hpo import plugins
from hpo.errors import UserError
from hpo.plugins.declarations import own
from hpo.plugins.traits import is_averageable
from hpo.record import StudyFolder, Trial, command
from hpo.space.values import with_lists

REGIMES = "trainables.regimes"
PREPROCESSING = "trainables.data.preprocessing"


def alike(study: StudyFolder, trials: Sequence[Trial], notify: Callable[[str], None]) -> list[Trial]:
    """Return the trials with the architecture and image format of the best one that starts from pretrained weights.

    Trials of a regime that is not averageable are left out, and `notify` is called with them. Raises UserError if the
    weights of this study cannot be averaged, or if its best trial is of such a regime.
    """
    task = study.space.task
    if study.trainable_digest is not None:
        raise UserError(
            f"study {study.name!r} was searched with training code of its own: only the weights of the models of the "
            "space can be averaged"
        )
    if task.dataset is None or (task.model is None and "model" not in study.space.domains):
        raise UserError(f"study {study.name!r} has no `task.dataset` or no model, so there are no weights to average")
    if task.validation.folds is not None:
        raise UserError(
            f"study {study.name!r} trained a model for each fold, and a soup needs one model for each trial"
        )
    started = [trial for trial in trials if _is_pretrained(study, trial)]
    if not started:
        raise UserError(
            f"study {study.name!r} trains from random weights: only models that start from the same pretrained weights "
            "(`task.weights`) can be averaged"
        )
    best = started[0]
    apart = {trial.number: _regime(study, trial) for trial in started if not _is_averageable(study, trial)}
    if best.number in apart:
        raise UserError(
            f"the best trial of study {study.name!r}, trial {best.number}, is of the regime {apart[best.number]}: its "
            "weights have no common start with those of other trials, so they cannot be averaged; "
            f"`{command('model', study.folder, '--out', 'FOLDER')}` writes it"
        )
    if apart:
        notify(
            f"left out, because weights of the regime {', '.join(sorted(set(apart.values())))} have no common start: "
            f"{'trial' if len(apart) == 1 else 'trials'} {', '.join(map(str, apart))}"
        )
    found = [trial for trial in started if _architecture(study, trial) == _architecture(study, best)]
    return [trial for trial in found if trial.number not in apart]


def _regime(study: StudyFolder, trial: Trial) -> str:
    return str({**study.space.fixed, **trial.config}.get("regime", study.space.task.regime))


def _is_averageable(study: StudyFolder, trial: Trial) -> bool:
    return is_averageable(plugins.module_name(REGIMES, _regime(study, trial)), plugins.find)


def _is_pretrained(study: StudyFolder, trial: Trial) -> bool:
    starts = getattr(plugins.load(REGIMES, _regime(study, trial)), "PRETRAINED", True)
    return bool(starts) and study.space.task.weights != "none"


def _architecture(study: StudyFolder, trial: Trial) -> dict[str, Any]:
    """The hyperparameters that decide what the weights of a trial mean: those of its model and of its images."""
    settings = {**study.space.fixed, **trial.config}
    model = str(settings.get("model", study.space.task.model))
    family = plugins.load("trainables.models", model)
    keys = {*getattr(family, "HYPERPARAMETERS", ()), *own(PREPROCESSING, plugins.find)}
    return {"model": model, **{key: with_lists(settings[key]) for key in sorted(keys) if key in settings}}
