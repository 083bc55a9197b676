"""An earlier study that informs a search: what is read from it, and what it means in the space of the search.

A backend that learns (`LearnsFromEarlier`) gets the trials of the earlier study. With any other backend, the search
only tries the best of them first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hpo.backends._backend import Backend, LearnsFromEarlier
from hpo.errors import StudyError, UserError
from hpo.loop import checks
from hpo.record import STUDY_FILE, History, Settings, Source, StudyFolder, Trial
from hpo.results.known_configurations import best_of
from hpo.space import SearchSpace
from hpo.space.given_values import own_value
from hpo.space.search_space import TASK_DOMAINS
from hpo.space.values import comparison_key, is_one_of
from hpo.trial import Config, EarlierStudy, EarlierTrial, Value

TOP = 5
"""The number of the best trials that a search tries first, if its backend does not learn."""


class Earlier(NamedTuple):
    """An earlier study that a user names for a new search."""

    folder: Path
    """It is only read, also while it is searched."""
    top: int | None = None
    """How many of its best trials are tried first. None stands for `TOP` if the backend does not learn. A backend that
    learns chooses by itself then."""


class Informed(NamedTuple):
    """A search that an earlier study informs."""

    settings: Settings
    earlier: EarlierStudy | None
    """What the backend learns from. None if it does not learn."""
    lines: list[str]
    """What the user should know: what is left out."""


def with_earlier_study(
    space: SearchSpace, settings: Settings, backend: Backend, earlier: Earlier, folder: Path
) -> Informed:
    """The settings of a search that an earlier study informs, and what its backend learns from.

    Args:
        space: the space of the new search.
        settings: its settings so far. The configurations that the user wants to try first stay the first.
        backend: its backend, which is told nothing yet. Only one that `LearnsFromEarlier` learns.
        earlier: the earlier study.
        folder: the folder of the new study.

    Raises a StudyError if there is no such study, and a UserError if `top` is no whole number of at least 1, if the new
    study is that one, if their objectives differ, if they have no hyperparameter in common, or if no trial has a finite
    value and lies in the space.
    """
    top = earlier.top
    checks.at_least_one(top=top)
    study = StudyFolder.reopen(earlier.folder)
    if earlier.folder.resolve() == folder.resolve():
        raise UserError(f"study {study.name!r} cannot be informed by itself: name another study or another new name")
    _check_objective(study, space)
    learns = isinstance(backend, LearnsFromEarlier)
    known, lines = learnt(study, space) if learns else (None, [])
    if top is None and not learns:
        top = TOP
    best, left_out = best_of(study, space, top) if top is not None else ([], [])
    informed = replace(settings, from_study=Source(study.name, study.digest, learns, top, best))
    if learns:
        return Informed(informed, known, lines + left_out)
    note = (
        f"the backend {settings.backend} tries the best of study {study.name!r} first, and learns nothing else from it"
    )
    return Informed(informed, None, [*left_out, note])


def recorded_source(folder: Path, earlier: Earlier) -> Source | None:
    """What the study in `folder` has on record of an earlier study, which may be deleted meanwhile.

    Its digest and `top` are those of the search that is wanted now. So another earlier study or another `top` makes
    another identity. None if there is no study, or if it was not informed by one of this name.
    """
    checks.at_least_one(top=earlier.top)
    recorded = StudyFolder.reopen(folder).settings.from_study if (folder / STUDY_FILE).exists() else None
    if recorded is None or recorded.study != earlier.folder.name:
        return None
    is_here = (earlier.folder / STUDY_FILE).exists()
    digest = StudyFolder.reopen(earlier.folder).digest if is_here else recorded.digest
    return replace(recorded, digest=digest, top=TOP if earlier.top is None and not recorded.learns else earlier.top)


def learnt(study: StudyFolder, space: SearchSpace) -> tuple[EarlierStudy, list[str]]:
    """What a search of `space` may learn from a study, and a line if some of its trials do not lie in the space.

    Raises the errors of `with_earlier_study`.
    """
    _check_objective(study, space)
    if not set(space.domains) & set(study.space.domains):
        raise UserError(
            f"study {study.name!r} has no hyperparameter in common with this space: it searches "
            f"{', '.join(study.space.domains)}, and this space {', '.join(space.domains)}"
        )
    history, _ = study.history()
    earlier, total = learnt_from_history(study.name, study.space, history, space), len(_valued(history))
    if not (left_out := total - len(earlier.trials)):
        return earlier, []
    return earlier, [f"{left_out} of {total} trials of study {study.name!r} do not lie in this space and are left out"]


def _check_objective(study: StudyFolder, space: SearchSpace) -> None:
    if study.space.objective != space.objective:
        raise UserError(
            f"study {study.name!r} minimises {study.space.objective}, but this search minimises {space.objective}: "
            "only a study with the same objective informs a search"
        )


def learnt_from_history(name: str, own: SearchSpace, history: History, space: SearchSpace) -> EarlierStudy:
    """What a search of `space` may learn from the history of the study `name`, which searched the space `own`.

    Trials with a value outside of `space` are left out. Hyperparameters that only one of both spaces searches are left
    out too, and so are those that are not active in `space`. Raises a StudyError if no trial has a finite value, and a
    UserError if none of these lies in `space`.
    """
    valued = _valued(history)
    if not any(map(_has_finite, valued)):
        raise StudyError(f"study {name!r} has no trial with a finite value, so a search can learn nothing from it")
    found = [(_active(trial.config, own, space), values) for trial, values in valued]
    inside = [(config, values) for config, values in found if _outside(config, space) is None]
    if not any(map(_has_finite, inside)):
        at = next(at for config, _ in found if (at := _outside(config, space)) is not None)
        raise UserError(f"study {name!r} has no trial with a finite value in this space; see the values of {at}")
    names = tuple(each for each in space.domains if each in own.domains)
    trials = tuple(EarlierTrial(_own_values(config, space), values) for config, values in inside)
    return EarlierStudy(name, names, history.high, trials)


def _valued(history: History) -> list[tuple[Trial, dict[int, float]]]:
    """The trials with a value, and their values. A crashed trial that was tried again does not count."""
    found = [(trial, dict(_values(trial, history))) for trial in history.trials.values()]
    return [(trial, values) for trial, values in found if values and trial.number not in history.retried]


def _values(trial: Trial, history: History) -> Iterator[tuple[int, float]]:
    """The values of a trial by epoch, see `EarlierTrial`. Those of early phases cannot be compared with later ones.

    A trial whose last value is NaN or infinite has diverged. So its lowest value does not count at the last epoch.
    """
    for report in trial.reports:
        if not report.metrics.get("phases_left", 0) > 0:
            yield report.fidelity, history.objective_of(report)
    if trial.crash is not None:
        yield min(trial.epoch + 1, history.high), math.nan
    elif (
        trial.reports
        and trial.reports[-1].last
        and trial.epoch < history.high
        and math.isfinite(history.objective_of(trial.reports[-1]))
    ):
        yield history.high, trial.loss


def _has_finite(trial: tuple[object, Mapping[int, float]]) -> bool:
    return any(map(math.isfinite, trial[1].values()))


def _active(config: Config, own: SearchSpace, space: SearchSpace) -> Config:
    """The values of a trial of the space `own`, without those of hyperparameters that are not active in `space`.

    A parent of which the trial says nothing is assumed to allow them.
    """
    task = {key: name for key in TASK_DOMAINS if (name := getattr(own.task, key)) is not None}
    known = {**task, **own.fixed, **config}
    inactive: set[str] = set()
    for name, domain in space.domains.items():
        for parent, allowed in domain.when.items():
            if parent in inactive or (parent in known and not is_one_of(known[parent], allowed)):
                inactive.add(name)
    return {name: value for name, value in config.items() if name not in inactive}


def _outside(config: Mapping[str, Value], space: SearchSpace) -> str | None:
    """The first hyperparameter whose value does not lie in the space. None if all do that it knows."""
    constants = {**space.fixed, "regime": space.task.regime, "model": space.task.model}
    for name, value in config.items():
        domain, constant = space.domains.get(name), constants.get(name)
        if domain is not None and not domain.contains(own_value(domain, value)):
            return name
        if domain is None and constant is not None and comparison_key(constant) != comparison_key(value):
            return name
    return None


def _own_values(config: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """The values of the hyperparameters that the space searches, as values of the space."""
    return {name: own_value(space.domains[name], value) for name, value in config.items() if name in space.domains}
