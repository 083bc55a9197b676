"""A trained model of a study, and the arrays that figures show of it: filters, activations and features.

The model is built as in its trial, which may be complete, paused or still running. It loads the checkpoint of the
trial's best epoch, or of its last epoch if there is no other. Held-out data is never used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import StudyError, UserError
from hpo.heldout import study_data
from hpo.record import History, StudyFolder, Trial
from hpo.training.builder import Builder, Job, trial_seed
from hpo.training.checkpoints import best_checkpoint, checkpoint

Array = NDArray[Any]
N_POINTS = 2000
"""The largest number of images in a t-SNE figure."""

N_NAMED = 20
"""The largest number of trials that an error names."""


class TrainedModel:
    """The model of one trial, with its training and validation data."""

    def __init__(
        self, study: StudyFolder, history: History, numbers: Sequence[int], *, skip_changed_files: bool = False
    ) -> None:
        """Load the model of the trial in `numbers`. If `numbers` is empty, take the best trial that has a checkpoint.

        The study may be searched at the same time: nothing on disk is changed.

        Raises UserError if there is no such trial, checkpoint or data set, or if the trial's model has no named stages.
        Raises StudyError if the checkpoint is damaged, or if the data changed since the study was begun; with
        `skip_changed_files`, files that changed are left out.
        """
        from trainables import model_inspection

        self._study = study
        self.trial = _choose_trial(study, history, numbers)
        self._config: dict[str, Any] = {**study.space.fixed, **self.trial.config}
        self._check_buildable()
        state, self.epoch = _trained_state(study, self.trial)
        job = Job(study.space, study.settings.seed, study.data, regime_defaults=study.regime_defaults)
        data = study_data.check(study, job, skip_changed_files=skip_changed_files, with_held_out=False)
        builder = Builder(replace(job, manifest=data.manifest), "cpu")
        trainable = builder.build(self._config, trial_seed(study.settings.seed, self.trial.number))
        trainable.load_state_dict(state)
        with self._as_user_error():
            self._model = model_inspection.model(trainable)
        parts = builder.search_data(self._config)[0]
        assert parts is not None, "a model of named stages is built for a data set"
        self._data = parts
        self.classes = parts.classes

    def filters(self) -> Array:
        """Return the weights of the first layer, (n, channels, height, width)."""
        from trainables import model_inspection

        with self._as_user_error():
            return model_inspection.filters(self._model, self._data.train.shape)

    def activations(self, stage: str | None, image: str | None) -> tuple[str, Array, list[tuple[str, Array]]]:
        """Compute the activations of one image in a stage.

        Returns the name of the stage, the image (channels, height, width) of 0..1, and named activation maps
        (channels, height, width). `stage` defaults to the first stage, `image` to the first image of the validation
        part.
        """
        from trainables import model_inspection

        name = next(iter(self._model.stages)) if stage is None else stage
        batch = self._image(image or "0")
        with self._as_user_error("--stage: "):
            maps = model_inspection.activations(self._model, name, batch)
        pixels = batch[0].numpy()
        return name, pixels / 255 if pixels.dtype == np.uint8 else pixels, list(maps)

    def embedding(self) -> tuple[Array, Array]:
        """Map training and validation images to points by t-SNE of the features that enter the head.

        Returns the points, (n, 2), and their labels, (n,).
        """
        from trainables import model_inspection

        part = model_inspection.sample(self._data, N_POINTS)
        with self._as_user_error():
            return model_inspection.embedding(model_inspection.features(self._model, part)), part.labels.numpy()

    def _image(self, image: str) -> Any:
        """The image at a path, or the image with this number in the validation part: (1, channels, height, width).

        A number that is also the name of a file means the file.
        """
        from trainables import model_inspection

        images = self._data.validation.images
        if image.isdecimal() and not Path(image).exists():
            if int(image) >= len(images):
                raise UserError(f"--image {image}: the validation part has {len(images)} images, numbered from 0")
            return images[int(image)][None]
        with self._as_user_error(f"--image {image}: "):
            return model_inspection.read(Path(image), self._data.train.shape, self._config)

    def _check_buildable(self) -> None:
        """Raise a UserError if the study has its own training code or no data set: then there is no model to show."""
        task, name = self._study.space.task, self._study.name
        if self._study.trainable_digest is not None:
            raise UserError(f"study {name!r} was searched with training code of its own, so hpo cannot build its model")
        if task.dataset is None:
            raise UserError(f"study {name!r} has no `task.dataset`, so hpo knows of no images to show")

    @contextmanager
    def _as_user_error(self, prefix: str = "") -> Iterator[None]:
        """Turn a ValueError, raised if something cannot be shown of this model, into a UserError."""
        try:
            yield
        except ValueError as error:
            raise UserError(f"{prefix or f'trial {self.trial.number}: '}{error}") from error


def _choose_trial(study: StudyFolder, history: History, numbers: Sequence[int]) -> Trial:
    """The trial in `numbers`, or the best one that has a checkpoint. A UserError if there is no such trial."""
    ranked = history.ranked()
    candidates = [*ranked, *(trial for trial in history.trials.values() if trial not in ranked)]
    with_checkpoint = [trial for trial in candidates if any(path.exists() for path in _checkpoint_paths(study, trial))]
    if len(numbers) > 1:
        raise UserError("--trials: this kind of figure shows the model of one trial")
    if not with_checkpoint:
        raise UserError(
            f"study {study.name!r} has no trained model here: checkpoints are kept of complete, paused and running "
            "trials, on the machine that searched"
        )
    if not numbers:
        return with_checkpoint[0]
    trial = find(study, history, numbers[0])
    if trial not in with_checkpoint:
        numbers = sorted(each.number for each in with_checkpoint)
        have = ", ".join(map(str, numbers[:N_NAMED])) + f" and {len(numbers) - N_NAMED} more" * (len(numbers) > N_NAMED)
        raise UserError(f"trial {trial.number} of study {study.name!r} has no checkpoint; these have: {have}")
    return trial


def _checkpoint_paths(study: StudyFolder, trial: Trial) -> tuple[Path, Path]:
    """The paths of the checkpoints of a trial's last epoch and of its best epoch. Either may be missing."""
    return checkpoint(study.checkpoints, trial.number), best_checkpoint(study.checkpoints, trial.number)


def _trained_state(study: StudyFolder, trial: Trial) -> tuple[dict[str, Any], int]:
    """The state of the trainable at a trial's best epoch, and the number of that epoch.

    If only the checkpoint of the last epoch is there, it is that state. A StudyError if the checkpoint is damaged, and
    a UserError if it is missing: a search that runs may have deleted it meanwhile.
    """
    from trainables.training import checkpoints

    last_path, best_path = _checkpoint_paths(study, trial)
    try:
        saved = checkpoints.read(last_path, recover=False)
        # While a trial is unfinished, the checkpoint of its best epoch is written only when a worse epoch follows.
        if saved is None or _fidelity(saved["reports"], -1) != _fidelity(saved["best"]):
            saved = checkpoints.read(best_path, recover=False) or saved
        if saved is None:
            raise UserError(f"trial {trial.number} of study {study.name!r} has no checkpoint any more")
        return saved["state"], _fidelity(saved["reports"], -1)
    except checkpoints.DamagedCheckpoint as error:
        raise StudyError(str(error)) from None
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StudyError(
            f"the checkpoint of trial {trial.number} of study {study.name!r} was written by another version: {error!r}"
        ) from None


def _fidelity(encoded: str, index: int | None = None) -> int:
    """The epoch of a report in a checkpoint, or of the report at `index` of a list of reports, as JSON."""
    content = json.loads(encoded)
    report = content if index is None else content[index]
    return 0 if report is None else int(report["fidelity"])


def find(study: StudyFolder, history: History, number: int) -> Trial:
    """Return the trial with this number. Raises UserError if there is none."""
    if number not in history.trials:
        raise UserError(f"study {study.name!r} has no trial {number}, but {len(history.trials)} numbered from 0")
    return history.trials[number]
