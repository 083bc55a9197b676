"""The test of a study: evaluate its best trials on held-out data.

There are two protocols:

- `retrain` trains each of the best configurations again up to its stopping epoch, once for each seed, and tests the
  new models. The spread over seeds shows how much of the result is luck.
- `checkpoint` tests the weights that the search saved at the best epoch.

Each look at held-out data is counted in `test.json` before it is taken, because a test set that is used to choose
between models is no longer a test set. So a test never repeats a look at what is tested already. An interrupted test
continues from its checkpoints.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import cache
from hpo.devices import main_device
from hpo.errors import StudyError, UserError, nearest
from hpo.heldout import confusion, misclassified, per_class, study_data, tested_model
from hpo.heldout.confusion import ConfusionMatrix, ModelKey
from hpo.heldout.record import ModelResult, TestRecord, combine
from hpo.heldout.retraining import MAX_SEEDS, ModelToTest, load_from_search, retrain, stopping_epoch
from hpo.record import RETRAINED, StudyFolder, Trial, check_devices, command, lock
from hpo.training import Build, Builder, Job, user_code
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.data.dataset import Part
    from trainables.trainable import Trainable

PROTOCOLS = ("retrain", "checkpoint")


def evaluate(
    folder: Path,
    *,
    top: int = 1,
    seeds: int = 1,
    protocol: str = "retrain",
    trainable: Build | None = None,
    watch: Callable[[ModelResult], None] | None = None,
    notify: Callable[[str], None] | None = None,
    skip_changed_files: bool = False,
) -> TestRecord:
    """Test the `top` best trials with `seeds` seeds each, and return the content of `test.json`, which it writes.

    What was tested before with the same seeds, by the same protocol, with the same packages and on all files, is kept:
    it is neither trained nor looked at again. Any other new result of a trial replaces its earlier one. `trainable` is
    your own training code, if the study was searched with it. `watch` is called with the evaluation of each trained
    model, and `notify` with each note about the data. With `skip_changed_files`, files of the data set that changed
    since the study was begun are left out, and counted in the result.

    Raises StudyError if the study is still being searched, was interrupted before its budget was spent, or was begun
    with another trainable or on other data. Raises UserError if an argument is wrong, or if a test with fewer seeds
    would replace one with more.
    """
    _check_arguments(top, seeds, protocol)
    StudyFolder.reopen(folder)
    cache.check()
    with lock(folder):
        study = StudyFolder.reopen(folder)
        check_devices(study.settings, folder)
        study.check_trainable(None if trainable is None else user_code.digest(trainable))
        study.check_objective()
        trials = best_trials(study, top)
        record = TestRecord.read(study)
        _check_seeds(record, trials, seeds, protocol)
        job = Job(study.space, study.settings.seed, study.data, trainable)
        data = study_data.check(study, job, skip_changed_files=skip_changed_files)
        _check_held_out(study, data.manifest)
        if notify is not None:
            for note in data.notes:
                notify(note)
        matrices = confusion.read(study)
        record.keep([] if data.left_out else trials, protocol)
        evaluations = list(record.kept)
        done = {(each.trial, each.seed) for each in record.kept}
        if len(done) < len(trials) * seeds:
            evaluator = _Evaluator(study, replace(job, manifest=data.manifest), record, trials[0])
            for model in _models(study, replace(job, manifest=data.for_search), trials, seeds, protocol, done):
                evaluations.append(evaluator.evaluate(model))
                if watch is not None:
                    watch(evaluations[-1])
            matrices = _without(matrices, trials, done) | evaluator.matrices
        for trial in trials:
            of_trial = [each for each in evaluations if each.trial == trial.number]
            result = combine(trial, protocol, stopping_epoch(trial), of_trial)
            record.replace(replace(result, left_out=data.left_out))
        per_class.write(study, record, matrices)
        record.write()
        shutil.rmtree(study.folder / RETRAINED, ignore_errors=True)
    return record


def _check_arguments(top: int, seeds: int, protocol: str) -> None:
    if protocol not in PROTOCOLS:
        raise UserError(f"unknown protocol {protocol!r}{nearest(protocol, PROTOCOLS)}")
    if top < 1 or not 1 <= seeds <= MAX_SEEDS:
        raise UserError(f"top {top}, seeds {seeds}: each must be at least 1, the seeds at most {MAX_SEEDS}")
    if protocol == "checkpoint" and seeds > 1:
        raise UserError("the protocol checkpoint tests the weights of the search as they are: it has no seeds")


def _check_held_out(study: StudyFolder, manifest: Mapping[str, object] | None) -> None:
    """Raise a UserError if the data set of a study has no held-out part."""
    if manifest is not None and manifest["held_out_part"] is None:
        raise UserError(
            f"study {study.name!r} cannot be tested: its data set has no held-out part; hold images out "
            "(`dataset.held_out`, or a part `test`), and search under another name"
        )


def _models(
    study: StudyFolder, job: Job, trials: list[Trial], seeds: int, protocol: str, done: Collection[tuple[int, int]]
) -> Iterator[ModelToTest]:
    """The trained models to test, except those in `done`. `job` must not hold the held-out part."""
    if protocol == "checkpoint":
        return load_from_search(study, trials, done)
    return retrain(study, job, trials, seeds, done)


def _without(
    matrices: Mapping[ModelKey, ConfusionMatrix], trials: Sequence[Trial], kept: Collection[ModelKey]
) -> dict[ModelKey, ConfusionMatrix]:
    """The matrices of an earlier test, without those of `trials` whose results were not kept."""
    numbers = {trial.number for trial in trials}
    return {model: matrix for model, matrix in matrices.items() if model[0] not in numbers or model in kept}


def _check_seeds(record: TestRecord, trials: Sequence[Trial], seeds: int, protocol: str) -> None:
    """Raise a UserError if a test with `seeds` seeds would replace a result with more seeds."""
    numbers = {trial.number for trial in trials}
    for tested in record.trials:
        n = len(tested.seeds)
        if tested.trial in numbers and tested.protocol == protocol and n > seeds:
            raise UserError(
                f"trial {tested.trial} is tested with {n} seeds already, which a test with {seeds} would replace: "
                f"`hpo best` shows its result; test again with {n} seeds or more"
            )


class _Evaluator:
    """Evaluates trained models on the held-out part. It counts each look before it is taken."""

    def __init__(self, study: StudyFolder, job: Job, record: TestRecord, trial: Trial) -> None:
        """Raise a UserError if the task has no data set, or if the trainable of `trial` has no method `evaluate`."""
        self._study = study
        self._record = record
        self._fixed = job.space.fixed
        self._builder = Builder(job, main_device(study.settings.devices))
        if job.space.task.dataset is None:
            raise UserError(f"study {study.name!r} has no `task.dataset`, so hpo knows of no held-out data to test on")
        self._held_out: Part | None = None
        self._held_out_config: Config = {}
        self.matrices: dict[ModelKey, ConfusionMatrix] = {}
        """The confusion matrix of each evaluated model, unless its trainable has no method `predict(part)`."""
        if not hasattr(self._build(trial, 0), "evaluate"):
            raise UserError(
                f"the trainable of study {study.name!r} has no method `evaluate(part)` that returns its "
                "loss and accuracy, so it cannot be tested"
            )

    def evaluate(self, model: ModelToTest) -> ModelResult:
        """Load a trained model and evaluate it on the held-out part.

        The loss and the accuracy are NaN if the training diverged before it saved a checkpoint. Raises a UserError if
        the objective is a function of the user that fails on the held-out part.
        """
        from trainables.errors import SetupError
        from trainables.training import checkpoints

        saved = checkpoints.read(model.checkpoint)
        held_out: Mapping[str, float] = {"loss": math.nan, "accuracy": math.nan}
        if saved is not None:
            trainable = self._build(model.trial, model.build_seed)
            trainable.load_state_dict(saved["state"])
            self._record.count_look()
            try:
                held_out = trainable.evaluate(self._part(model.trial))
            except SetupError as error:
                raise UserError(f"study {self._study.name!r}: {error}") from error
            predictions = self._save_predictions(model, trainable)
            if model.is_first:
                tested_model.write(self._study, model, saved["state"], predictions)
        return ModelResult(model.trial.number, model.seed, model.validation, held_out)

    def _save_predictions(self, model: ModelToTest, trainable: Trainable) -> Mapping[str, Any]:
        """Keep the confusion matrix, and the misclassified images of the first model.

        So results per class and figures of them need no further look at held-out data. Nothing is kept if the trainable
        has no method `predict(part)`. Raises a UserError if that method returns a wrong shape.

        Returns the `probabilities` (n, n_classes) and `labels` (n,) of the held-out images. Empty if there are none.
        """
        from trainables import model_inspection

        data = self._builder.search_data({**self._fixed, **model.trial.config})[0]
        assert data is not None, "a task with held-out data has a data set"
        part = self._part(model.trial)
        try:
            probabilities = model_inspection.probabilities(trainable, part, data.classes)
        except ValueError as error:
            raise UserError(f"study {self._study.name!r}: {error}") from error
        if probabilities is None:
            return {}
        counts = model_inspection.confusion_counts(probabilities, part.labels)
        self.matrices[model.trial.number, model.seed] = ConfusionMatrix(tuple(data.classes), counts)
        if model.is_first:
            arrays = model_inspection.misclassified(probabilities, part, data.classes)
            misclassified.write(self._study, arrays, trial=model.trial.number, seed=model.seed)
        return {"probabilities": probabilities.cpu(), "labels": part.labels.cpu()}

    def _part(self, trial: Trial) -> Part:
        """The held-out part, preprocessed for the model of a trial. It is read again only for another configuration."""
        from trainables.data import heldout

        if self._held_out is None or trial.config != self._held_out_config:
            self._held_out = self._builder.held_out(heldout.held_out, {**self._fixed, **trial.config})
            self._held_out_config = trial.config
        return self._held_out

    def _build(self, trial: Trial, seed: int) -> Trainable:
        return self._builder.build({**self._fixed, **trial.config}, seed)


def best_trials(study: StudyFolder, top: int | None = None) -> list[Trial]:
    """Return the `top` best trials, best first. By default these are all trials with a finite loss.

    Raises StudyError if the search is not finished, or if no trial has a finite loss.
    """
    history, finished = study.history()
    if finished is None:
        raise StudyError(
            f"study {study.name!r} is not searched to its end, and a look at held-out data would be too early: "
            f"`{command('resume', study.folder)}` goes on, `{command('resume', study.folder, '--time 0')}` ends it here"
        )
    ranked = history.ranked()
    if not ranked:
        raise StudyError(f"study {study.name!r} has no trial with a finite loss: there is nothing to test")
    return ranked if top is None else ranked[:top]
