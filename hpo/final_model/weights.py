"""The trained weights of one trial: those that were tested, those of the search, or those of a new training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hpo.errors import StudyError, UserError
from hpo.heldout import ModelResult, RetrainedEpoch, TestRecord, TrialResult, tested_model
from hpo.heldout.protocols import CHECKPOINT, REFIT
from hpo.heldout.retraining import ModelToTest, discard_retrained, load_from_search, retrain
from hpo.record import StudyFolder, Trial
from hpo.training import Job

REL_TOL = 1e-6
"""Two trainings are the same if their validation losses differ by less, relative to the loss."""


Watch = Callable[[RetrainedEpoch], None]
"""Is called with each epoch of a training."""


@dataclass(frozen=True)
class Weights:
    """The trained weights of a trial, and what is known of them."""

    seed: int
    """The seed that `test.json` shows."""
    protocol: str
    """`retrain`, `refit` or `checkpoint`."""
    build_seed: int
    """The seed that the trainable is built with."""
    validation: Mapping[str, float]
    """The validation metrics of these weights."""
    state: Mapping[str, Any]
    """The state of the trainable."""
    result: ModelResult | None = None
    """Their test result. None if they are not tested."""
    held_out: Mapping[str, Any] = field(default_factory=dict)
    """The `probabilities` and `labels` of the held-out images that the test kept. Empty if there are none."""
    note: str | None = None
    """What the user should know about the choice."""
    soup: tuple[int, ...] = ()
    """The trials whose weights were averaged. `state` is then that of the model. Empty for the weights of one trial."""

    @property
    def trained_on(self) -> str:
        """The parts that they were trained on."""
        return "train+validation" if self.protocol == REFIT else "train"


def find(study: StudyFolder, job: Job, trial: Trial, record: TestRecord) -> Weights:
    """Find the weights of a trial, or train them.

    If the trial is tested, they are the weights of the first seed of that test. If they are not there any more, they
    are trained again with the same seed. If the trial is not tested, they are those of `of_training_part`. `job` must
    not hold the held-out part.

    Raises StudyError if the training diverged, and the errors of `retrain`.
    """
    tested = next((each for each in record.trials if each.trial == trial.number), None)
    if tested is not None and dict(tested.config) != dict(trial.config):
        tested = None
    kept = tested_model.read(study)
    if kept is not None and tested is not None and kept.belongs_to(tested):
        return Weights(
            kept.seed,
            kept.protocol,
            kept.build_seed,
            kept.validation,
            kept.state,
            _result(tested, kept.seed),
            kept.held_out,
        )
    if tested is None or tested.protocol == CHECKPOINT:
        return of_training_part(study, job, trial, tested)
    return _trained(study, replace(job, refits=tested.protocol == REFIT), trial, tested)


def of_training_part(study: StudyFolder, job: Job, trial: Trial, tested: TrialResult | None = None) -> Weights:
    """Return weights of a trial that were trained on the training part alone.

    They are those of the search, and if the search kept none, those of a new training with the first seed. `tested` is
    the result of a test of such weights, if there is one. Raises the errors of `find`.
    """
    try:
        (model,) = load_from_search(study, [trial])
    except UserError:  # the search kept no checkpoint of this trial
        return _trained(study, job, trial, tested)
    return _loaded(model, tested)


def refitted(study: StudyFolder, job: Job, trial: Trial, watch: Watch | None = None) -> Weights:
    """Train a trial on the training and the validation part, with the first seed, and return its weights.

    An interrupted training goes on from its checkpoints. `watch` is that of `retrain`. Raises StudyError if the
    training diverged, and the errors of `retrain`.
    """
    return _trained(study, replace(job, refits=True), trial, None, watch)


def _trained(
    study: StudyFolder, job: Job, trial: Trial, tested: TrialResult | None, watch: Watch | None = None
) -> Weights:
    """Train a trial as a test does, with the first seed. Its checkpoints are deleted afterwards."""
    (model,) = retrain(study, job, [trial], 1, watch=watch)
    weights = _loaded(model, tested)
    discard_retrained(study, [(trial.number, model.seed)], refits=job.refits)
    return weights


def _loaded(model: ModelToTest, tested: TrialResult | None) -> Weights:
    """Read the checkpoint of a model, and compare it with a test result of its trial."""
    from trainables.training import checkpoints

    number = model.trial.number
    try:
        saved = checkpoints.read(model.checkpoint)
    except checkpoints.DamagedCheckpoint as error:
        raise StudyError(str(error)) from None
    diverged = model.protocol == REFIT and not math.isfinite(model.validation.get("val_loss", 0.0))
    if saved is None or diverged:
        raise StudyError(f"trial {number} diverged when it was trained again, so it has no weights: name another trial")
    result, note = None, None
    if tested is not None and model.protocol == REFIT:  # it has no validation results that would show a difference
        note = (
            f"the tested weights of trial {number} are not there any more, so it was trained again. The new weights "
            "have no test result: run `hpo test` again"
        )
    elif tested is not None and model.seed in tested.seeds:
        result = _result(tested, model.seed)
        now, before = model.validation.get("val_loss", math.nan), result.validation["val_loss"]
        if not math.isclose(now, before, rel_tol=REL_TOL):
            note = (
                f"the tested weights of trial {number} are not there any more, and the new ones differ: validation "
                f"loss {now:.6f}, not {before:.6f}; so they have no test result: run `hpo test` again"
            )
            result = None
    arguments = (model.seed, model.protocol, model.build_seed, model.validation, saved["state"])
    return Weights(*arguments, result=result, note=note)


def _result(tested: TrialResult, seed: int) -> ModelResult:
    return next(each for each in tested.models() if each.seed == seed)
