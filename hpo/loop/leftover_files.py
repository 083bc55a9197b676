"""The files that a search left when it was killed: those that it no longer needs, and those that were being written."""

from __future__ import annotations

from hpo.record import History, State, StudyFolder
from hpo.training.checkpoints import discard, discard_all_but_best
from hpo.training.prediction_files import PredictionFiles


def discard_leftover_files(history: History, study: StudyFolder) -> None:
    """Delete the checkpoints and predictions that a study no longer needs.

    Predictions that workers were writing when they were killed are completed or deleted. The runner does the same with
    checkpoints. Raises a MachineError if the disk fails.
    """
    predictions = PredictionFiles(study.predictions)
    predictions.recover()
    for trial in history.trials.values():
        has_failed = trial.state in (State.CRASHED, State.INFEASIBLE)
        if has_failed:
            predictions.discard(trial.number)
        elif trial.state in (State.STOPPED, State.COMPLETE, State.PAUSED):
            predictions.finish(trial.number, trial.epoch)
        if has_failed or trial.state is State.STOPPED:
            discard(study.checkpoints, trial.number)
        elif trial.state is State.COMPLETE:
            discard_all_but_best(study.checkpoints, trial.number)
