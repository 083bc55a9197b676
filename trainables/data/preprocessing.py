"""From a data set to what a regime receives: cut, read, brought to a model's image_format.

A preparation belongs to one task: it cuts validation out of the training part once, and reads the images
of the last image_format that was asked for once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from trainables.data import images, splits
from trainables.data.dataset import DataSet, Files, Part, Pretraining, SearchData, Source
from trainables.data.images import ImageFormat
from trainables.data.input_spec import InputSpec
from trainables.data.splits import Split
from trainables.errors import SetupError
from trainables.hyperparameters import Config, choice, flag, optional
from trainables.trainable import TransferModel

HYPERPARAMETERS = {
    "image_size": "pixels a side that images are brought to, a whole number of at least 1; default the model's",
    "resize": ["crop", "squash"],
    "skip_unreadable": [True, False],
    "normalization": ["model", "data", "none"],
}

Groups = Mapping[str, Sequence[str]]
"""New classes, each with the names of the old ones that it holds."""


@dataclass(frozen=True)
class Validation:
    """How validation is cut out of the training part: a stratified fraction, or each of some folds in turn."""

    fraction: float | None = 0.2
    folds: int | None = None
    seed: int = 42


class PretrainingSet(NamedTuple):
    """Another data set, to train on first."""

    dataset: DataSet
    groups: Groups | None = None


class Preprocessor:
    """The training part of a data set, cut; its images are read when they are asked for."""

    def __init__(
        self,
        dataset: DataSet,
        validation: Validation,
        *,
        groups: Groups | None = None,
        first: PretrainingSet | None = None,
        device: str = "cpu",
    ) -> None:
        """`device`: where regimes receive the images. A SetupError where the data set cannot be cut or grouped so.

        It refuses a data set to train on first whose images may stand in the validation or held-out
        part of the other.
        """
        self._name = dataset.name
        self._mapping = _mapping(dataset.classes, groups)
        self.classes = tuple(groups) if groups else dataset.classes
        source = self.grouped(dataset.training()).as_whole()
        if first is not None and first.dataset.name == dataset.name:
            _check_apart(first.dataset, source)
        try:
            self._cuts = _cuts(source, self.classes, validation)
        except ValueError as error:
            raise SetupError(f"data set {dataset.name!r}: {error}") from None
        self._first_set = first
        self._device = device
        self._read: tuple[ImageFormat, tuple[SearchData, ...]] | None = None

    def folds(self, image_format: ImageFormat) -> tuple[SearchData, ...]:
        """What a regime receives, once for each fold; one where validation is a fraction.

        The images are kept in memory until another format is asked for. Without a store each fold holds its own copy.
        """
        if self._read is None or self._read[0] != image_format:
            self._read = None  # frees the memory before more is taken
            pretraining = self._first(image_format)
            try:
                self._read = (
                    image_format,
                    tuple(self._fold(cut, image_format, pretraining).to(self._device) for cut in self._cuts),
                )
            except ValueError as error:
                raise SetupError(f"data set {self._name!r}: {error}") from error
        return self._read[1]

    def grouped(self, source: Source) -> Source:
        """A source of the data set with the labels of the groups; images of no group are left out."""
        return _grouped(source, self._mapping)

    def _first(self, image_format: ImageFormat) -> Pretraining | None:
        if self._first_set is None:
            return None
        dataset, groups = self._first_set
        try:
            part = images.load(_grouped(dataset.training(), _mapping(dataset.classes, groups)), image_format)
        except ValueError as error:
            raise SetupError(f"data set {dataset.name!r}, to train on first: {error}") from error
        return Pretraining(part, tuple(groups) if groups else dataset.classes)

    def _fold(self, cut: Split, image_format: ImageFormat, pretraining: Pretraining | None) -> SearchData:
        train, validation = images.load(cut.train, image_format), images.load(cut.validation, image_format)
        if pretraining is not None and pretraining.train.shape != train.shape:
            raise SetupError(
                f"images of the pretraining set are {pretraining.train.shape} (channels, height, width), those of the "
                f"data set {train.shape}: give both one `image_size`, and number of channels by the model"
            )
        return SearchData(train, validation, self.classes, pretraining)


def image_format(config: Config, expected: InputSpec) -> ImageFormat:
    """The format of the images that a model expects, with what `config` says of it."""
    size = optional(config, "image_size") or expected.size
    resize = choice(config, "resize", "crop", images.RESIZES)
    return ImageFormat(size, expected.channels, resize, flag(config, "skip_unreadable", False))


def normalize(model: TransferModel, config: Config, expected: InputSpec, train: Part) -> None:
    """Let `model` normalise images: by its own statistics (default), by those of the training part, or not at all."""
    kind = choice(config, "normalization", "model", ("model", "data", "none"))
    if kind == "data":
        model.normalize(*images.statistics(train))
    elif kind == "model" and expected.mean is not None and expected.std is not None:
        model.normalize(expected.mean, expected.std)


def _cuts(source: Source, classes: tuple[str, ...], validation: Validation) -> tuple[Split, ...]:
    if validation.folds is not None:
        return splits.folds(source, classes=classes, n_folds=validation.folds, seed=validation.seed)
    assert validation.fraction is not None, "validation is a fraction or folds"
    return (splits.split(source, classes=classes, fraction=validation.fraction, seed=validation.seed),)


def _grouped(source: Source, mapping: torch.Tensor | None) -> Source:
    if mapping is None:
        return source
    labels = mapping[source.labels]
    chosen = (labels >= 0).nonzero().squeeze(1).tolist()
    return source.take(chosen).relabelled(labels[chosen])


def _check_apart(first: DataSet, source: Source) -> None:
    """Refuse the same data set under other options: its parts may overlap, unless all its folders are others."""
    other = first.training()
    folders = [{path.parent for path in each.paths} for each in (other, source) if isinstance(each, Files)]
    if len(folders) == 2 and not folders[0] & folders[1]:
        return
    raise SetupError(
        f"`task.pretraining` is {first.name!r} as `task.dataset` is, with other options: images to validate or test on "
        "would be trained on first. Name another data set, or none: then the training part itself is trained on first"
    )


def _mapping(classes: tuple[str, ...], groups: Groups | None) -> torch.Tensor | None:
    """For each old label the new one, -1 for none; a SetupError names a class that is unknown or in two groups."""
    if not groups:
        return None
    mapping = torch.full((len(classes),), -1, dtype=torch.int64)
    for label, (group, names) in enumerate(groups.items()):
        for name in names:
            if name not in classes:
                raise SetupError(f"`groups.{group}`: there is no class {name!r} (allowed: {', '.join(classes)})")
            if mapping[classes.index(name)] >= 0:
                raise SetupError(f"`groups.{group}`: class {name!r} stands in two groups")
            mapping[classes.index(name)] = label
    return mapping
