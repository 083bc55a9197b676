"""A trained model of a study, as arrays for its figures: filters, activations, features. No held-out data.

The model is built as its trial built it, and takes the weights of the checkpoint that the search kept of
its best epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import Mistake, StudyError
from hpo.record import History, State, StudyFolder, Trial
from hpo.training.builder import Builder, Job, trial_seed
from hpo.training.checkpoints import best_checkpoint

Array = NDArray[Any]
N_POINTS = 2000
"""Images that are brought into the plane at most."""


class TrainedModel:
    """The model of one trial, with the data that it was trained and validated on."""

    def __init__(self, study: StudyFolder, history: History, numbers: Sequence[int]) -> None:
        """The trial that `numbers` holds; of none, the best that has a checkpoint.

        A Mistake says why there is no such model: no trial, no checkpoint, no model of named stages, no data set.
        """
        from trainables import inspection
        from trainables.training import checkpoints

        self._study = study
        self.trial = _chosen(study, history, numbers)
        self._config = {**study.space.fixed, **self.trial.config}
        self._check_buildable()
        try:
            saved = checkpoints.read(best_checkpoint(study.checkpoints, self.trial.number))
        except checkpoints.DamagedCheckpoint as error:
            raise StudyError(str(error)) from None
        assert saved is not None, "the checkpoint was there when the trial was chosen"
        builder = Builder(Job(study.space, study.settings.seed, study.data), "cpu")
        trainable = builder.build(self._config, trial_seed(study.settings.seed, self.trial.number))
        trainable.load_state_dict(saved["state"])
        with self._mistakes():
            self._model = inspection.model(trainable)
        data = builder.search_data(self._config)[0]
        assert data is not None, "a model of named stages is built for a data set"
        self._data = data
        self.classes = data.classes

    def filters(self) -> Array:
        """The weights of the first layer, (n, channels, height, width)."""
        from trainables import inspection

        with self._mistakes():
            return inspection.filters(self._model, self._data.train.shape)

    def activations(self, stage: str | None, image: str | None) -> tuple[str, Array, list[tuple[str, Array]]]:
        """The name of a stage, an image (channels, height, width) of 0..1, and named maps (channels, height, width).

        The first stage and the first image of the validation part where none is named.
        """
        from trainables import inspection

        name = next(iter(self._model.stages)) if stage is None else stage
        seen = self._image(image or "0")
        with self._mistakes("--stage: "):
            maps = inspection.activations(self._model, name, seen)
        pixels = seen[0].numpy()
        return name, pixels / 255 if pixels.dtype == np.uint8 else pixels, list(maps)

    def plane(self) -> tuple[Array, Array]:
        """Images of training and validation in the plane by what the head sees of them, (n, 2); their labels, (n,)."""
        from trainables import inspection

        part = inspection.sample(self._data, N_POINTS)
        with self._mistakes():
            return inspection.embedding(inspection.features(self._model, part)), part.labels.numpy()

    def _image(self, image: str) -> Any:
        """The image at a path, or that of a number in the validation part, a tensor (1, channels, height, width)."""
        from trainables import inspection

        images = self._data.validation.images
        if image.isdecimal() and not Path(image).exists():
            if int(image) >= len(images):
                raise Mistake(f"--image {image}: the validation part has {len(images)} images, numbered from 0")
            return images[int(image)][None]
        with self._mistakes(f"--image {image}: "):
            return inspection.read(Path(image), self._data.train.shape, self._config)

    def _check_buildable(self) -> None:
        task, name = self._study.space.task, self._study.name
        if "regime" not in self._config and task.regime is None:
            raise Mistake(f"study {name!r} was searched from Python with a trainable of its own, unknown to a figure")
        if task.dataset is None:
            raise Mistake(f"study {name!r} has no `task.dataset`, so hpo knows of no images to show")

    @contextmanager
    def _mistakes(self, prefix: str = "") -> Iterator[None]:
        """What cannot be shown of this model is a Mistake of the command."""
        try:
            yield
        except ValueError as error:
            raise Mistake(f"{prefix or f'trial {self.trial.number}: '}{error}") from error


def _chosen(study: StudyFolder, history: History, numbers: Sequence[int]) -> Trial:
    kept = [trial for trial in history.ranked() if _has_checkpoint(study, trial)]
    if len(numbers) > 1:
        raise Mistake("--trials: this kind of figure shows the model of one trial")
    if not kept:
        raise Mistake(
            f"study {study.name!r} has no trained model here: checkpoints are kept of complete trials, "
            "on the machine that searched"
        )
    if not numbers:
        return kept[0]
    trial = find(study, history, numbers[0])
    if trial not in kept:
        have = ", ".join(str(each.number) for each in sorted(kept, key=lambda each: each.number))
        raise Mistake(f"trial {trial.number} of study {study.name!r} has no checkpoint; these have: {have}")
    return trial


def _has_checkpoint(study: StudyFolder, trial: Trial) -> bool:
    """Whether a trial is over, so that nothing writes its checkpoint any more, and has one."""
    return trial.state is State.COMPLETE and best_checkpoint(study.checkpoints, trial.number).exists()


def find(study: StudyFolder, history: History, number: int) -> Trial:
    """A trial by its number; a Mistake where there is none."""
    if number not in history.trials:
        raise Mistake(f"study {study.name!r} has no trial {number}, but {len(history.trials)} numbered from 0")
    return history.trials[number]
