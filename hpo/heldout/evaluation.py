"""The test of a study: evaluate its best trials on held-out data.

There are three protocols:

- `retrain` trains each of the best configurations again up to its stopping epoch, once for each seed, and tests the
  new models. The spread over seeds shows how much of the result is luck.
- `refit` does the same on the training and the validation part together. More images make a better model, but leave
  none to validate it: its validation results are those of the search, of a model that was trained on fewer images.
- `checkpoint` tests the weights that the search saved at the best epoch.

Each look at held-out data is counted in `test.json` before it is taken, because a test set that is used to choose
between models is no longer a test set. So a test never repeats a look at what is tested already. Each result is written
as soon as it is known. An interrupted test continues from its checkpoints, and finishes the look that was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hpo import cache
from hpo.errors import StudyError, UserError
from hpo.heldout import confusion, image_results, per_class, randomness, study_data
from hpo.heldout.confusion import ModelKey
from hpo.heldout.evaluator import EvaluatedModel, Evaluator
from hpo.heldout.plan import BEST_ONLY, Plan
from hpo.heldout.protocols import CHECKPOINT, REFIT
from hpo.heldout.record import TestRecord
from hpo.heldout.retraining import RetrainedEpoch, discard_retrained, load_from_search, retrain, stopping_epoch
from hpo.heldout.study_data import StudyData
from hpo.heldout.trial_result import ModelResult, combine
from hpo.quantities import with_plural
from hpo.record import StudyFolder, Trial, check_devices, command, lock
from hpo.training import Build, Job, user_code
from hpo.training.own_objective import objective_digest

T = TypeVar("T")


def evaluate(
    folder: Path,
    plan: Plan = BEST_ONLY,
    *,
    trainable: Build | None = None,
    watch: Callable[[ModelResult], None] | None = None,
    watch_epoch: Callable[[RetrainedEpoch], None] | None = None,
    notify: Callable[[str], None] | None = None,
    skip_changed_files: bool = False,
) -> TestRecord:
    """Test the best trials of a study as `plan` says, and return the content of `test.json`, which it writes.

    What was tested before by the same protocol, with the same packages and on all files, is kept, also with further
    seeds that an interrupted test left: it is neither trained nor looked at again. Any other new result of a trial
    replaces its earlier one. A trial in whose training nothing is random is trained once.

    `trainable` is your own training code, if the study was searched with it. `watch` is called with the evaluation of
    each trained model, `watch_epoch` with each epoch of their trainings, and `notify` with each note. With
    `skip_changed_files`, files of the data set that changed since the study was begun are left out, and counted in the
    result.

    Raises StudyError if the study is still being searched, was interrupted before its budget was spent, or was begun
    with another trainable or on other data. Raises UserError if the trainable cannot be evaluated, or if a test with
    fewer seeds would replace one with more.
    """
    StudyFolder.reopen(folder)
    cache.check()
    with lock(folder):
        study = StudyFolder.reopen(folder)
        check_devices(study.settings, folder)
        study.check_trainable(None if trainable is None else user_code.digest(trainable))
        study.check_objective(objective_digest(study.space))
        trials = best_trials(study, plan.top)
        record = TestRecord.read(study)
        _check_seeds(record, trials, plan)
        inputs = study.space, study.settings.seed, study.data, trainable
        job = Job(*inputs, regime_defaults=study.regime_defaults, refits=plan.protocol == REFIT)
        data = study_data.check(study, job, skip_changed_files=skip_changed_files)
        check_held_out(study, data.manifest)
        if notify is not None:
            once = randomness.note(study, trials, plan)
            for note in (*data.notes, *([] if once is None else [once]), *_replaced(record, trials, plan)):
                notify(note)
        repeated = randomness.repeated(study, trials, plan)
        results = _Results(record, trials, plan, data, repeated)
        wanted = _wanted(study, trials, plan) - repeated
        if wanted - results.done:
            evaluator = Evaluator(study, replace(job, manifest=data.manifest), record, trials[0])
            search_job = replace(job, manifest=data.for_search)
            if plan.protocol == CHECKPOINT:
                models = load_from_search(study, trials, results.done)
            else:
                models = retrain(study, search_job, trials, plan.seeds, results.done | repeated, watch_epoch)
            for model in models:
                evaluated = evaluator.evaluate(model)
                results.add(model.trial, evaluated)
                if watch is not None:
                    watch(evaluated.result)
        results.write(trials)
        if plan.protocol != CHECKPOINT:
            discard_retrained(study, wanted, refits=job.refits)
    return record


class _Results:
    """The results of a running test: those that are kept from earlier tests, and the new ones."""

    def __init__(
        self, record: TestRecord, trials: Sequence[Trial], plan: Plan, data: StudyData, repeated: Collection[ModelKey]
    ) -> None:
        """Models in `repeated` are not kept from earlier tests."""
        self._record = record
        self._plan = plan
        self._left_out = data.left_out
        self._matrices = confusion.read(record.study)
        self._images = image_results.read(record.study)
        record.keep([] if data.left_out else trials, plan.protocol)
        record.kept = [each for each in record.kept if (each.trial, each.seed) not in repeated]
        self._models = list(record.kept)
        self.done = frozenset((each.trial, each.seed) for each in record.kept)
        """The models that need not be tested: the numbers of their trials with their seeds."""

    def add(self, trial: Trial, evaluated: EvaluatedModel) -> None:
        """Add the result of a model of `trial`, and write it to disk.

        From then on, it replaces the results of an earlier test of this trial that are not kept.
        """
        self._models.append(evaluated.result)
        self._matrices.pop((trial.number, evaluated.result.seed), None)
        if evaluated.matrix is not None:
            self._matrices[trial.number, evaluated.result.seed] = evaluated.matrix
        self._images.pop((trial.number, evaluated.result.seed), None)
        if evaluated.images:
            self._images[trial.number, evaluated.result.seed] = evaluated.images
        self._record.end_look(evaluated.look)
        self.write([trial])

    def write(self, trials: Sequence[Trial]) -> None:
        """Write the results of `trials` to disk. `test.json` is the last of the files, so no other lacks a result."""
        for trial in trials:
            models = [each for each in self._models if each.trial == trial.number]
            result = combine(trial, self._plan.protocol, stopping_epoch(trial), models)
            self._record.replace(replace(result, left_out=self._left_out))
            self._matrices = _without(self._matrices, trial, models)
            self._images = _without(self._images, trial, models)
        image_results.write(self._record.study, self._images)
        per_class.write(self._record.study, self._record, self._matrices)
        self._record.write()


def check_held_out(study: StudyFolder, manifest: Mapping[str, object] | None) -> None:
    """Raise a UserError if the data set of a study has no held-out part."""
    if manifest is not None and manifest["held_out_part"] is None:
        raise UserError(
            f"study {study.name!r} cannot be tested: its data set has no held-out part; hold images out "
            "(`dataset.held_out`, or a part `test`), and search under another name"
        )


def _wanted(study: StudyFolder, trials: Sequence[Trial], plan: Plan) -> frozenset[ModelKey]:
    """The models that a plan names."""
    seeds = [study.settings.seed] if plan.protocol == CHECKPOINT else range(plan.seeds)
    return frozenset((trial.number, seed) for trial in trials for seed in seeds)


def _without(found: Mapping[ModelKey, T], trial: Trial, models: Sequence[ModelResult]) -> dict[ModelKey, T]:
    """What was found for each model, without that of models of `trial` that are none of its `models`."""
    seeds = {each.seed for each in models}
    return {key: value for key, value in found.items() if key[0] != trial.number or key[1] in seeds}


def _check_seeds(record: TestRecord, trials: Sequence[Trial], plan: Plan) -> None:
    """Raise a UserError if a test would replace a result with more seeds, and these are different models."""
    seeds = plan.seeds
    numbers = {trial.number for trial in trials if randomness.is_random(record.study, trial.config)}
    for tested in record.trials:
        n = len(tested.seeds)
        if tested.trial in numbers and tested.protocol == plan.protocol and n > seeds:
            raise UserError(
                f"trial {tested.trial} is tested with {n} seeds already, which a test with {seeds} would replace: "
                f"`hpo best` shows its result; test again with {n} seeds or more"
            )


def _replaced(record: TestRecord, trials: Sequence[Trial], plan: Plan) -> list[str]:
    """Say which results a test replaces, because they were found by another protocol."""
    numbers = {trial.number for trial in trials}
    return [
        f"the result of trial {each.trial} by the protocol {each.protocol}, {with_plural(len(each.seeds), 'seed')}, is "
        f"replaced by that of {plan.protocol}"
        for each in record.trials
        if each.trial in numbers and each.protocol != plan.protocol
    ]


def best_trials(study: StudyFolder, top: int | None = None) -> list[Trial]:
    """Return the `top` best trials, best first. By default these are all trials with a finite loss.

    Raises StudyError if the search is not finished or was simulated, or if no trial has a finite loss.
    """
    if study.settings.curves is not None:
        raise StudyError(f"study {study.name!r} is simulated: nothing was trained, so there is no model of it")
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
