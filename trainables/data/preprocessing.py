"""The Preprocessor: splits a data set and loads its images in the format that a model expects.

A task has one Preprocessor. It splits the training part once, and keeps the images of the last requested format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from trainables.data import dataset_report, decoding, images, merged_classes, splits
from trainables.data.dataset import DataSet, Files, Part, Pretraining, SearchData, Source
from trainables.data.decoding import DecodingOptions
from trainables.data.images import ImageFormat
from trainables.data.input_spec import InputSpec
from trainables.data.merged_classes import MergedClasses
from trainables.data.splits import Split
from trainables.errors import SetupError
from trainables.hyperparameters import Config, read_bool, read_choice, read_int, read_optional_int
from trainables.trainable import TransferModel

HYPERPARAMETERS = {
    "image_size": "height and width to resize images to, in pixels, a whole number of at least 1; default the model's",
    "resize": ["crop", "squash"],
    "skip_unreadable": [False, True],
    "tolerate_truncated": [False, True],
    "exif_orientation": [True, False],
    "background": [None, "white", "black"],
    "max_pixels": "largest number of pixels of an image file, at least 1; default 178956970, as in Pillow",
    "max_text_bytes": "largest size of the text in a PNG file, in bytes, at least 1; default 67108864",
    "normalization": ["model", "data", "none"],
}
MEANINGS = {
    "resize": "how an image gets its size: scaled and cropped at the centre, or squashed",
    "skip_unreadable": "leave out files that cannot be read, instead of ending with an error",
    "tolerate_truncated": "take the part of a truncated file that can be read",
    "exif_orientation": "turn images as their EXIF data say",
    "background": "the colour behind transparent pixels; null leaves them as they are stored",
    "normalization": "mean and deviation of the channels: the model's, those of the training images, or none",
}
RANGES = {"image_size": "int >= 1", "max_pixels": "int >= 1", "max_text_bytes": "int >= 1"}

DECODING_KEYS = tuple(each.name for each in fields(DecodingOptions))
"""The hyperparameters that say how files become pixels."""


@dataclass(frozen=True)
class Validation:
    """How to split off the validation part: a stratified fraction of the training part, or cross-validation folds."""

    fraction: float | None = 0.2
    """The fraction of the training part, above 0 and below 1. Ignored if `folds` is given."""
    folds: int | None = None
    """The number of folds, or None for a single split."""
    seed: int = 42
    """The seed of the split. It does not depend on the seed of the search."""
    group: str | None = None
    """Which images belong together. A data set uses it when it is built: see `trainables.data.file_sets.groups_of`."""
    is_given: bool = False
    """Whether the user asked for this fraction, these folds or this seed.

    It is an error then if the data set has a validation part of its own.
    """


class PretrainingSet(NamedTuple):
    """A data set to pretrain on, and its merged classes."""

    dataset: DataSet
    merged: MergedClasses | None = None


class Preprocessor:
    """The training part of a data set, split. Its images are loaded when they are requested."""

    def __init__(
        self,
        dataset: DataSet,
        validation: Validation,
        *,
        merged: MergedClasses | None = None,
        pretraining: PretrainingSet | None = None,
        device: str = "cpu",
        assignment: Sequence[int] | None = None,
    ) -> None:
        """Split the training part of `dataset`; no image is loaded.

        `merged` are the merged classes. `pretraining` is a data set to train on first. Regimes receive the images on
        `device`. `assignment` is the split of an earlier Preprocessor, or None to split anew.

        Raises SetupError if the data set cannot be split like this, if its classes cannot be merged like this, or if
        images of the pretraining set may also be in the validation or held-out part of `dataset`.
        """
        self._name = dataset.name
        self.notes: tuple[str, ...] = (*getattr(dataset, "notes", ()), *_notes_on_pretraining(pretraining))
        """What was done with rare classes, and how many files to pretrain on are not used, in words for the user."""
        whole, given = splits.search_images(dataset)
        if given is not None and assignment is None and validation.is_given:
            raise SetupError(
                f"`task.validation` must not be given: data set {dataset.name!r} has a validation part of its own; "
                "remove it from the space (`group` may stay)"
            )
        rule = getattr(dataset, "rare_classes", None) if assignment is None and given is None else None
        if rule in ("keep", "leave_out"):
            merged = self._handle_rare_classes(dataset, merged, validation, rule)
        self.merged_classes = merged
        """The merged classes of the task. If rare classes are left out, these are all others."""
        self._mapping = merged_classes.new_labels(dataset.classes, merged)
        self.classes = tuple(merged) if merged else dataset.classes
        source = self.with_merged_classes(whole).as_whole()
        if assignment is None:
            if pretraining is not None and pretraining.dataset.name == dataset.name:
                _check_apart(pretraining.dataset, source)
            if given is None:
                assignment = self._assign(dataset, source, validation)
            else:
                assignment = given[merged_classes.kept(whole, self._mapping)].tolist()
                self._check_given(source, assignment)
        self.assignment = tuple(assignment)
        """The split: for each image of the training part, the fold that it validates, or 1 if it validates."""
        self._splits = splits.apply(source, self.assignment, n_folds=validation.folds)
        self._pretraining_set = pretraining
        self._device = device
        self._loaded: tuple[ImageFormat, tuple[SearchData, ...]] | None = None

    def _assign(self, dataset: DataSet, source: Source, validation: Validation) -> list[int]:
        """Split the training part. Raises SetupError if a class has too few images."""
        rule = getattr(dataset, "rare_classes", None)
        try:
            return list(map(int, _assign(source, self.classes, validation, keep_rare=rule == "keep")))
        except splits.TooFewSamples as error:
            message = f"data set {dataset.name!r}: {error.first()} to search with; "
            raise SetupError(message + _validation_remedy(error, validation, rule)) from None
        except ValueError as error:
            raise SetupError(f"data set {dataset.name!r}: {error}") from None

    def _check_given(self, source: Source, assignment: Sequence[int]) -> None:
        """Raise SetupError if a class has no image in the training part, or none in the given validation part."""
        (split,) = splits.apply(source, assignment, n_folds=None)
        for part, name in ((split.train, "training"), (split.validation, "validation")):
            if lacking := splits.rare(part, self.classes, 1):
                raise SetupError(
                    f"data set {self._name!r}: class {next(iter(lacking))!r} has no image in its {name} part"
                )

    def _handle_rare_classes(
        self, dataset: DataSet, merged: MergedClasses | None, validation: Validation, rule: str
    ) -> MergedClasses | None:
        """Note the classes with too few images to be split, and return the merged classes.

        If rare classes are left out, the merged classes are all others.
        """
        classes = tuple(merged) if merged else dataset.classes
        source = merged_classes.relabel(dataset.training(), merged_classes.new_labels(dataset.classes, merged))
        needed = validation.folds or splits.n_needed(validation.fraction or 0.5, source)
        found = splits.rare(source, classes, needed)
        if not found:
            return merged
        self.notes += (splits.describe_rare(found, rule, needed, " to search with", splits.unit_of(source)),)
        if rule == "keep":
            return merged
        all_classes = merged or {name: (name,) for name in classes}
        kept = {name: names for name, names in all_classes.items() if name not in found}
        if len(kept) < 2:
            raise SetupError(f"data set {dataset.name!r}: without its rare classes, {len(kept)} of them are left")
        return kept

    def folds(self, image_format: ImageFormat) -> tuple[SearchData, ...]:
        """Return the data for a regime, one entry for each fold. There is one entry if validation is a fraction.

        The images are kept until another format is requested. Without a store, each fold has its own copy in memory.
        """
        if self._loaded is None or self._loaded[0] != image_format:
            self._loaded = None  # frees the memory before new images are loaded
            pretraining = self._load_pretraining(image_format)
            try:
                self._loaded = (
                    image_format,
                    tuple(self._load(split, image_format, pretraining).to(self._device) for split in self._splits),
                )
            except ValueError as error:
                raise SetupError(f"data set {self._name!r}: {error}") from error
        return self._loaded[1]

    def with_merged_classes(self, source: Source) -> Source:
        """Relabel a source of the data set by the merged classes. Images whose class is in none are left out."""
        return merged_classes.relabel(source, self._mapping)

    def _load_pretraining(self, image_format: ImageFormat) -> Pretraining | None:
        if self._pretraining_set is None:
            return None
        dataset, merged = self._pretraining_set
        try:
            part = images.load(
                merged_classes.relabel(
                    splits.search_images(dataset)[0], merged_classes.new_labels(dataset.classes, merged)
                ),
                image_format,
            )
        except ValueError as error:
            raise SetupError(f"data set {dataset.name!r}, to train on first: {error}") from error
        return Pretraining(part, tuple(merged) if merged else dataset.classes)

    def _load(self, split: Split, image_format: ImageFormat, pretraining: Pretraining | None) -> SearchData:
        train, validation = images.load(split.train, image_format), images.load(split.validation, image_format)
        if pretraining is not None and pretraining.train.shape != train.shape:
            raise SetupError(
                f"images of the pretraining set are {pretraining.train.shape} (channels, height, width), those of the "
                f"data set {train.shape}: give both one `image_size`, and number of channels by the model"
            )
        return SearchData(train, validation, self.classes, pretraining)


def image_format(config: Config, expected: InputSpec) -> ImageFormat:
    """Return the format to load images in: the format that the model expects, with the settings in `config`.

    `image_size` in `config` takes precedence over the size that the model expects. A WrongValue if a value is not
    allowed.
    """
    size = read_optional_int(config, "image_size") or expected.size
    resize = read_choice(config, "resize", "crop", images.RESIZES)
    skip_unreadable = read_bool(config, "skip_unreadable", False)
    return ImageFormat(size, expected.channels, resize, skip_unreadable, decoding_options(config))


def decoding_options(config: Config) -> DecodingOptions:
    """Return how files become pixels, as `config` says. A WrongValue if a value is not allowed."""
    default = decoding.DEFAULT
    has_background = config.get("background") is not None
    return DecodingOptions(
        exif_orientation=read_bool(config, "exif_orientation", default.exif_orientation),
        background=read_choice(config, "background", "", decoding.BACKGROUNDS) if has_background else None,
        tolerate_truncated=read_bool(config, "tolerate_truncated", default.tolerate_truncated),
        max_pixels=read_int(config, "max_pixels", default.max_pixels),
        max_text_bytes=read_int(config, "max_text_bytes", default.max_text_bytes),
    )


def normalize(model: TransferModel, config: Config, expected: InputSpec, train: Part) -> None:
    """Set the normalization of `model`, as `normalization` in `config` says.

    model (the default): the statistics that the model expects, if it expects any. data: the statistics of the training
    part. none: images stay in 0..1.
    """
    kind = read_choice(config, "normalization", "model", ("model", "data", "none"))
    if kind == "data":
        model.normalize(*images.statistics(train))
    elif kind == "model" and expected.mean is not None and expected.std is not None:
        model.normalize(expected.mean, expected.std)


def _assign(source: Source, classes: tuple[str, ...], validation: Validation, *, keep_rare: bool) -> splits.Assignment:
    seed, folds, fraction = validation.seed, validation.folds, validation.fraction
    if folds is not None:
        return splits.assign_folds(source, classes=classes, n_folds=folds, seed=seed, keep_rare=keep_rare)
    assert fraction is not None, "validation is a fraction or folds"
    return splits.assign_fraction(source, classes=classes, fraction=fraction, seed=seed, keep_rare=keep_rare)


def _validation_remedy(error: splits.TooFewSamples, validation: Validation, rule: str | None) -> str:
    """Say how many images of a class are needed, and which settings need fewer. `rule` is that of the data set."""
    if rule == "keep":
        return "`dataset.rare_classes: keep` needs 2 of them: one to train, one to validate"
    can_be_split = min(error.counts.values()) >= 2
    if validation.folds is not None:
        needs, fewer = f"`task.validation.folds: {validation.folds}`", "take fewer folds"
    else:
        needs, fewer = f"`task.validation.fraction: {validation.fraction:g}`", "take a fraction nearer to 0.5"
    remedy = "" if rule is None else error.remedy(can_keep=can_be_split)
    return f"{needs} needs {error.needed} of them{f'; {fewer}' if can_be_split else ''}{remedy}"


def _notes_on_pretraining(pretraining: PretrainingSet | None) -> list[str]:
    """How many files and images of the pretraining set are not used, in words for the user. Empty if all are."""
    if pretraining is None:
        return []
    dataset, merged = pretraining
    source, _ = splits.search_images(dataset)
    words = (
        dataset_report.not_used(getattr(dataset, "left_out", ())),
        merged_classes.describe_unmerged([source], dataset.classes, merged),
    )
    return [f"images to pretrain on: {each}" for each in words if each is not None]


def _check_apart(pretraining: DataSet, source: Source) -> None:
    """Raise SetupError if the pretraining set may share images with `source`. Both come from the same kind of data set.

    With other options, such a data set is split in another way, so its training part may hold images that `source`
    validates or tests on. Only sets of files that share no folder are safe.
    """
    other, _ = splits.search_images(pretraining)
    folders = [{path.parent for path in each.paths} for each in (other, source) if isinstance(each, Files)]
    if len(folders) == 2 and not folders[0] & folders[1]:
        return
    raise SetupError(
        f"`task.pretraining` is {pretraining.name!r} as `task.dataset` is, with other options: images to validate or "
        "test on would be trained on first. Name another data set, or none: then the training part itself is trained "
        "on first"
    )
