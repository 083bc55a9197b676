"""Writing the best configuration of a study as a model folder: its weights, its calibration, its results."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import cache, plugins
from hpo.devices import main_device
from hpo.errors import MachineError, UserError, reason
from hpo.final_model import soups
from hpo.final_model import weights as trained_weights
from hpo.final_model.about import describe, lines
from hpo.final_model.loaded import user_errors
from hpo.final_model.options import BEST_TRIAL, ModelOptions
from hpo.final_model.weights import Weights
from hpo.heldout import TestRecord, best_trials, study_data
from hpo.heldout.more_data import train_on_all
from hpo.heldout.protocols import REFIT
from hpo.heldout.retraining import retraining_seed, stopping_epoch
from hpo.quantities import with_plural
from hpo.record import StudyFolder, Trial, check_devices, lock, predictions
from hpo.space.values import with_lists
from hpo.training import Build, Builder, Job, user_code
from hpo.training.own_objective import objective_digest

if TYPE_CHECKING:
    from trainables.data.dataset import SearchData
    from trainables.inference import Calibration, FinalModel
    from trainables.trainable import Trainable


@dataclass(frozen=True)
class WrittenModel:
    """A model folder that was written."""

    folder: Path
    lines: tuple[str, ...]
    """The origin of the model and its validation and test results, in words."""


def write_model(
    folder: Path,
    out: Path,
    options: ModelOptions = BEST_TRIAL,
    *,
    trainable: Build | None = None,
    notify: Callable[[str], None] | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> WrittenModel:
    """Write a trial of the study in `folder` as a model folder at `out`.

    `trainable` is your own training code, if the study was searched with it. `notify` is called with each note. `watch`
    is called after each epoch of a training on more data, with the number of the epoch and that of all epochs.

    Raises StudyError if the study is not searched to its end, or if its data changed, UserError if an argument is
    wrong, or if there is no model to write, and MachineError if the folder cannot be written.
    """
    from trainables.inference import exports, model_folder

    StudyFolder.reopen(folder)
    cache.check()
    with user_errors():
        model_folder.check_target(out, overwrite=options.overwrite)
        exports.check_packages(options.formats)
    with lock(folder):
        study = StudyFolder.reopen(folder)
        check_devices(study.settings, folder)
        study.check_trainable(None if trainable is None else user_code.digest(trainable))
        study.check_objective(objective_digest(study.space))
        if study.space.task.dataset is None:
            raise UserError(f"study {study.name!r} has no `task.dataset`, so hpo does not know what its model takes")
        chosen = _choose_trial(study, soups.read(study).best.trial if options.soup else options.trial)
        inputs = study.space, study.settings.seed, study.data, trainable
        job = Job(*inputs, regime_defaults=study.regime_defaults)
        skip, with_held_out = options.skip_changed_files, options.train_on == "all"
        data = study_data.check(study, job, skip_changed_files=skip, with_held_out=with_held_out)
        search_job = replace(job, manifest=data.for_search)
        writing = _Writing(study, chosen, search_job, options, notify or (lambda note: None), watch)
        return writing.write(out, replace(job, manifest=data.manifest))


def _choose_trial(study: StudyFolder, number: int | None) -> Trial:
    """The trial with this number, or the best. A UserError if there is none, or if it has no finite loss."""
    trials = best_trials(study)
    if number is None:
        return trials[0]
    found = next((each for each in trials if each.number == number), None)
    if found is None:
        known = study.history()[0].trials
        reason = "has no finite loss" if number in known else f"is not there: {len(known)} are numbered from 0"
        raise UserError(f"trial {number} of study {study.name!r} {reason}")
    return found


class _Writing:
    """Writes one trial of a study."""

    def __init__(
        self,
        study: StudyFolder,
        trial: Trial,
        job: Job,
        options: ModelOptions,
        notify: Callable[[str], None],
        watch: Callable[[int, int], None] | None,
    ) -> None:
        """`job` must not hold the held-out part. `notify` and `watch` are described in `write_model`."""
        self._study = study
        self._trial = trial
        self._job = job
        self._options = options
        self._notify = notify
        self._watch = watch
        self._device = main_device(study.settings.devices)
        self._builder = Builder(job, self._device)
        self._config: dict[str, Any] = {**study.space.fixed, **trial.config}
        self._record = TestRecord.read(study)

    def write(self, out: Path, full_job: Job) -> WrittenModel:
        """Find or train the weights, calibrate them, and write the model folder.

        `full_job` holds the held-out part if that is trained on.
        """
        from trainables.inference import Predictor, model_folder, trained

        weights = self._weights()
        with self._errors():
            trainable = self._loaded(weights)
            calibration = self._calibrated(weights, trainable)
            train_on = self._train_on(weights, len(trained.models(trainable)))
            if train_on == weights.trained_on:
                training = self._training(weights)
            elif train_on == "train+validation":
                more = self._refitted()
                trainable, training = self._loaded(more), self._training(more)
            else:
                trainable, training = self._trained_on_all(full_job)
            final = self._final_model(trainable)
            about = describe(self._record, self._trial, weights, training, calibration)
            in_words = tuple(lines(about))
            with _machine_errors(out):
                note = model_folder.write(
                    out,
                    final,
                    temperature=calibration.temperature,
                    about=about,
                    check=lambda folder, images: Predictor(folder, functools.cache(plugins.load)).image_logits(images),
                    overwrite=self._options.overwrite,
                )
        if note is not None:
            self._notify(note)
        return WrittenModel(out, in_words)

    def _weights(self) -> Weights:
        """The weights of the soup, or those of the trial."""
        if self._options.soup:
            weights = soups.weights(self._study)
        elif self._options.train_on == "train" and self._is_refitted():
            weights = trained_weights.of_training_part(self._study, self._job, self._trial)
        else:
            weights = trained_weights.find(self._study, self._job, self._trial, self._record)
        if weights.note is not None:
            self._notify(weights.note)
        return weights

    def _is_refitted(self) -> bool:
        """Whether the trial was tested by the protocol refit."""
        return any(each.trial == self._trial.number and each.protocol == REFIT for each in self._record.trials)

    def _calibrated(self, weights: Weights, trainable: Trainable) -> Calibration:
        """The calibration of the trial. `trainable` has these weights.

        The temperature is fitted on the validation part, which the model must not have trained on. So that of weights
        that were trained on it is fitted on what the search predicted there.
        """
        if weights.trained_on == "train":
            return self._calibrate(trainable, weights)
        from trainables.inference import trained

        kept = predictions.read(self._study, [self._trial])
        if kept is not None and (logits := kept.logits.get(self._trial.number)) is not None:
            return trained.calibrate_logits(logits, kept.labels)
        self._notify("the search kept no predictions of this trial, so a model of the training part is needed")
        found = trained_weights.of_training_part(self._study, self._job, self._trial)
        return self._calibrate(self._loaded(found), found)

    def _loaded(self, weights: Weights) -> Trainable:
        """A new trainable with these weights."""
        builder = self._builder
        if weights.trained_on != "train":
            builder = Builder(replace(self._job, refits=True), self._device)
        trainable = builder.build(self._config, weights.build_seed)
        if weights.soup:
            soups.load(trainable, weights)
        else:
            trainable.load_state_dict(dict(weights.state))
        return trainable

    def _train_on(self, weights: Weights, n_models: int) -> str:
        """The parts to train on. The models of `n_models` folds are no single model, so one is trained on all folds."""
        if n_models > 1 and self._options.train_on in (None, "train"):
            more = "train+validation"
            self._notify(f"the search trained {n_models} models, one a fold: one model is trained on {more}")
            return more
        return self._options.train_on or weights.trained_on

    def _training(self, weights: Weights) -> dict[str, Any]:
        """What to say about the training of weights that are not of all parts."""
        training: dict[str, Any] = {"trained_on": weights.trained_on, "epochs": stopping_epoch(self._trial)}
        training |= {"seed": weights.seed, "protocol": weights.protocol}
        data = self._data()
        if weights.trained_on == "train":
            training["images"] = len(data.train)
        else:
            n_images = len(data.train) + len(data.validation)
            training |= {"images": n_images, "images_in_training_part": len(data.train)}
        return training | ({"soup": list(weights.soup)} if weights.soup else {})

    def _refitted(self) -> Weights:
        """The weights of a training on the training and the validation part, which is not tested."""
        watch = self._watch
        self._announce("train+validation")
        shown = None if watch is None else lambda each: watch(each.epoch, each.n_epochs) if each.epoch else None
        return trained_weights.refitted(self._study, self._job, self._trial, shown)

    def _trained_on_all(self, full_job: Job) -> tuple[Trainable, dict[str, Any]]:
        """Train the trial on all parts. Returns the trainable, and what to say about it."""
        n_epochs, watch = stopping_epoch(self._trial), self._watch
        self._announce("all")
        larger = train_on_all(
            full_job,
            self._device,
            self._trial,
            retraining_seed(self._study, self._trial),
            self._record,
            watch=None if watch is None else lambda epoch: watch(epoch, n_epochs),
        )
        training = {"trained_on": "all", "epochs": n_epochs, "seed": 0, "images": larger.n_images}
        return larger.trainable, training | {"images_in_training_part": larger.n_training}

    def _announce(self, train_on: str) -> None:
        """Say that a training begins, and on what."""
        n_epochs = with_plural(stopping_epoch(self._trial), "epoch")
        self._notify(f"training trial {self._trial.number} on {train_on}, {n_epochs} as in the search")

    def _calibrate(self, trainable: Trainable, weights: Weights) -> Calibration:
        """Fit the temperature on the validation part. With folds, each image counts for the model that validates it."""
        from trainables.inference import trained

        parts = [data.validation for data in self._builder.search_data(self._config) if data is not None]
        reported = weights.validation.get("val_accuracy")
        return trained.calibrate(trainable, parts, reported, predicts=not weights.soup)

    def _final_model(self, trainable: Trainable) -> FinalModel:
        """The model of a trainable, with what a model folder needs besides."""
        from trainables.data import preprocessing
        from trainables.data.input_spec import InputSpec
        from trainables.inference import FinalModel, trained

        name = self._config.get("model", self._study.space.task.model)
        plug_in = None if name is None else plugins.load("trainables.models", str(name))
        config = {key: with_lists(value) for key, value in self._config.items()}
        image_format = preprocessing.image_format(config, getattr(plug_in, "INPUT", InputSpec()))
        data = self._data()
        (model,) = trained.models(trainable)
        formats = tuple(dict.fromkeys(self._options.formats))
        return FinalModel(model, name, plug_in, config, data.classes, image_format, data.validation, formats)

    def _data(self) -> SearchData:
        """The data of the search, or those of its first fold."""
        data = self._builder.search_data(self._config)[0]
        assert data is not None, "the study has a data set"
        return data

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise a UserError that names the trial for each SetupError."""
        with user_errors(f"trial {self._trial.number} of study {self._study.name!r}: "):
            yield


@contextmanager
def _machine_errors(out: Path) -> Iterator[None]:
    """Raise a MachineError for each OSError in writing `out`."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"--out {out}: cannot be written: {error.strerror or reason(error)}") from error
