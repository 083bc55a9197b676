"""The replay of a study: its own learning curves, searched by another backend in simulated time.

This is `hpo replay`, and has nothing to do with the replay by which a study resumes (`hpo/loop/replay.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from hpo.backends._backend import Backend
from hpo.errors import StudyError
from hpo.loop import checks
from hpo.loop.backend_building import build_backend
from hpo.loop.first_configurations import with_first_configurations
from hpo.loop.recorded_trials import RecordedTrials, is_short, playable
from hpo.loop.simulation import play_trials
from hpo.record import Budget, History, Settings, State, StudyFolder, Trial, command, is_locked
from hpo.results.best_so_far import BestSoFar, comparable_value
from hpo.results.study_replay import Outcome, StudyReplay
from hpo.space import SearchSpace
from hpo.trial import Report, Scalar

MIN_TRIALS = 2
"""The number of trials that a study must have to be replayed."""


def replay_study(
    folder: Path,
    backend: str,
    *,
    options: Mapping[str, Scalar] | None = None,
    seeds: int = 5,
    slots: int = 1,
    epochs: int | None = None,
) -> StudyReplay:
    """Search the recorded trials of a study with a backend, once with each of the seeds 0, 1, ...

    The study is only read, also while it is searched. Each search ends when it has found the best value of the study,
    when every recorded trial was played, when the backend has nothing left, or after `epochs` epochs. `options` are
    those of the backend.

    Raises a StudyError if the study has too few trials or none that is complete, and a UserError if the backend or an
    option is unknown, if the backend refuses the space, or if a number is less than 1.
    """
    checks.at_least_one(seeds=seeds, slots=slots, epochs=epochs)
    study = StudyFolder.reopen(folder)
    history, finished = study.history()
    curve, high = BestSoFar(history), study.space.fidelity.high
    trials = _checked_trials(study, history, curve)
    compared = min(curve.n_epochs, epochs or curve.n_epochs)

    def search(seed: int) -> Outcome:
        settings = with_first_configurations(study.space, Settings(backend, options or {}, seed))
        budget = Budget(trials=len(trials), epochs=epochs)
        played, n_cut = _search(build_backend(study.space, settings), study.space, trials, curve.best, budget, slots)
        return Outcome.of(BestSoFar(played), curve.best, compared, trials=len(played.trials), n_cut=n_cut)

    crashed = [trial for trial in history.trials.values() if trial.crash is not None]
    return StudyReplay(
        study=study.name,
        recorded_backend=study.settings.backend,
        backend=backend,
        metric=study.space.metric,
        best=curve.best,
        high=high,
        slots=slots,
        epochs=compared,
        limit=epochs,
        recorded=Outcome.of(curve, curve.best, compared, trials=len(trials)),
        searches=tuple(search(seed) for seed in range(seeds)),
        n_short=sum(is_short(trial, high) for trial in trials),
        n_crashed=len(crashed),
        n_crashed_epochs=sum(len(trial.reports) for trial in crashed),
        is_searched=finished is None and is_locked(folder),
    )


def _search(
    backend: Backend, space: SearchSpace, trials: list[Trial], best: float, budget: Budget, slots: int
) -> tuple[History, int]:
    """Search the recorded trials until the value `best`. Returns the history, and how many trials were cut."""
    recorded = RecordedTrials(space, trials)

    def is_found(history: History, report: Report) -> bool:
        return comparable_value(history, report) <= best

    return play_trials(backend, space, recorded, slots=slots, budget=budget, until=is_found), len(recorded.cut)


def _checked_trials(study: StudyFolder, history: History, curve: BestSoFar) -> list[Trial]:
    """The trials of a study that can be played. Raises a StudyError if they are too few or if none is complete."""
    trials, high = playable(history), study.space.fidelity.high
    further = f"`{command('resume', study.folder)}` goes further"
    if len(trials) < MIN_TRIALS:
        raise StudyError(
            f"study {study.name!r} has {len(trials)} trial{'s' * (len(trials) != 1)} with an epoch and without a "
            f"crash: a replay needs at least {MIN_TRIALS}; {further}"
        )
    if all(trial.state is not State.COMPLETE for trial in trials):
        raise StudyError(
            f"study {study.name!r} has no complete trial: a replay needs at least 1 that was trained for {high} "
            f"epoch{'s' * (high != 1)} or ended by itself; {further}"
        )
    if curve.best == math.inf:
        raise StudyError(f"study {study.name!r} has no trial with a finite loss")
    return trials
