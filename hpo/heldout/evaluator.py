"""The Evaluator, which looks at the held-out part: it evaluates trained models on it, and counts each look before."""

from __future__ import annotations

import hashlib
import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.devices import main_device
from hpo.errors import HpoError, UserError, reason
from hpo.heldout import image_results, misclassified, study_data, tested_model
from hpo.heldout.confusion import ConfusionMatrix
from hpo.heldout.image_results import ImageResults
from hpo.heldout.record import Look, TestRecord
from hpo.heldout.retraining import ModelToTest, stopping_epoch
from hpo.heldout.trial_result import ModelResult
from hpo.record import StudyFolder, Trial, versions
from hpo.space.values import with_lists
from hpo.training import Builder, Job
from hpo.training.metrics import checked
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.data.dataset import Part, SearchData
    from trainables.trainable import Trainable
    from trainables.training.evaluation import Evaluation

REQUIRED = ("loss", "accuracy")
"""The metrics that `evaluate(part)` of a trainable must return."""


@dataclass(frozen=True)
class EvaluatedModel:
    """What one look at held-out data has given."""

    result: ModelResult
    look: Look
    matrix: ConfusionMatrix | None = field(default=None)
    """None if the trainable has no method `predict(part)`, or if there was no model."""
    images: ImageResults = field(default_factory=dict)
    """The results for each held-out image. Empty without `matrix`."""


class Evaluator:
    """Evaluates trained models on the held-out part. It counts each look before it is taken."""

    def __init__(self, study: StudyFolder, job: Job, record: TestRecord, trial: Trial) -> None:
        """Raise a UserError if the task has no data set, or if the trainable of `trial` has no method `evaluate`."""
        self._study = study
        self._record = record
        self._job = job
        self._fixed = job.space.fixed
        self._builder = Builder(job, main_device(study.settings.devices))
        if job.space.task.dataset is None:
            raise UserError(f"study {study.name!r} has no `task.dataset`, so hpo knows of no held-out data to test on")
        self._held_out: Part | None = None
        self._held_out_config: Config = {}
        self._checked: set[int] = set()
        self._data_hash = study_data.digest(job.manifest)
        if not hasattr(self._build(trial, 0), "evaluate"):
            raise UserError(
                f"the trainable of study {study.name!r} has no method `evaluate(part)` that returns its "
                "loss and accuracy, so it cannot be tested"
            )

    def evaluate(self, model: ModelToTest) -> EvaluatedModel:
        """Load a trained model and evaluate it on the held-out part.

        The first model of each trial is evaluated on the validation part before, so that an error in the user's code
        costs no look. The loss and the accuracy are NaN if the training diverged before it saved a checkpoint.
        """
        from trainables.training import checkpoints

        saved = checkpoints.read(model.checkpoint)
        look = self._look(model)
        if saved is None:
            held_out: Mapping[str, float] = {"loss": math.nan, "accuracy": math.nan}
            return EvaluatedModel(ModelResult(model.trial.number, model.seed, model.validation, held_out), look)
        trainable = self._build(model.trial, model.build_seed)
        trainable.load_state_dict(saved["state"])
        data = self._search_data(model.trial)
        if model.trial.number not in self._checked:
            self._evaluate(trainable, data.validation, data, "validation")
            self._checked.add(model.trial.number)
        part = self._part(model.trial)
        self._record.begin_look(look)
        found = self._evaluate(trainable, part, data, "held-out")
        matrix, predictions = self._save_predictions(model, found, part, data)
        if model.is_first:
            tested_model.write(self._study, model, look, found.metrics, saved["state"], predictions)
        images = image_results.of_predictions(predictions, found.metrics, self._job.space, part.groups)
        result = ModelResult(model.trial.number, model.seed, model.validation, found.metrics)
        return EvaluatedModel(result, look, matrix, images)

    def _look(self, model: ModelToTest) -> Look:
        """All that the result of a look depends on, as JSON has it.

        `checkpoint` tells two trainings of the same configuration apart: they can give different weights.
        """
        return {
            "trial": model.trial.number,
            "seed": model.seed,
            "protocol": model.protocol,
            "config": {name: with_lists(value) for name, value in model.trial.config.items()},
            "stopping_epoch": stopping_epoch(model.trial),
            "versions": dict(versions()),
            "data": self._data_hash,
            "checkpoint": _file_hash(model.checkpoint),
        }

    def _evaluate(self, trainable: Trainable, part: Part, data: SearchData, which: str) -> Evaluation:
        """Evaluate a trainable on a part. Raises a UserError for a wrong result, or an error in the user's code."""
        from trainables.training import evaluation

        name = self._study.name
        try:
            found = evaluation.evaluate(trainable, part, len(data.classes))
        except HpoError:
            raise
        except ValueError as error:
            raise UserError(f"study {name!r}: {error}") from error
        except Exception as error:
            if type(trainable).__module__.partition(".")[0] == "trainables":
                raise
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise UserError(
                f"study {name!r}: its trainable cannot be evaluated on the {which} part: {type(error).__name__}: "
                f"{reason(error)} ({place.filename}, line {place.lineno})"
            ) from error
        metrics = checked(found.metrics, "evaluate(part) of the trainable returned {}; it must return metrics")
        if missing := [each for each in REQUIRED if each not in metrics]:
            raise UserError(f"study {name!r}: evaluate(part) of its trainable returned no {missing[0]!r}")
        return found._replace(metrics=metrics)

    def _save_predictions(
        self, model: ModelToTest, found: Evaluation, part: Part, data: SearchData
    ) -> tuple[ConfusionMatrix | None, Mapping[str, Any]]:
        """Write the misclassified images of the first model. So figures of them need no further look.

        Returns the confusion matrix, and the `probabilities` (n, n_classes) and `labels` (n,) of the held-out images.
        There are none if the trainable has no method `predict(part)`.
        """
        from trainables import model_inspection

        if found.probabilities is None:
            return None, {}
        counts = model_inspection.confusion_counts(found.probabilities, part.labels)
        if model.is_first:
            arrays = model_inspection.misclassified(found.probabilities, part, data.classes)
            misclassified.write(self._study, arrays, trial=model.trial.number, seed=model.seed)
        predictions = {"probabilities": found.probabilities, "labels": part.labels.cpu()}
        return ConfusionMatrix(tuple(data.classes), counts), predictions

    def _search_data(self, trial: Trial) -> SearchData:
        """The training and validation part for a trial. With folds, they are those of the first fold."""
        data = self._builder.search_data({**self._fixed, **trial.config})[0]
        assert data is not None, "a task with held-out data has a data set"
        return data

    def _part(self, trial: Trial) -> Part:
        """The held-out part, preprocessed for the model of a trial. It is read again only for another configuration."""
        from trainables.data import heldout

        if self._held_out is None or trial.config != self._held_out_config:
            self._held_out = self._builder.held_out(heldout.held_out, {**self._fixed, **trial.config})
            self._held_out_config = trial.config
        return self._held_out

    def _build(self, trial: Trial, seed: int) -> Trainable:
        return self._builder.build({**self._fixed, **trial.config}, seed)


def _file_hash(path: Path) -> str | None:
    """The SHA-256 of a file. None if there is no file."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
