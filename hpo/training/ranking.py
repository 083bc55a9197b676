"""Ranks pretrained models on a data set by their features, before any search: for `hpo rank`.

A linear probe gives an accuracy for each model: a cross-validated ridge regression on the features of the search part.
The held-out part is never read. The features are those of the cache, so a search of the same models finds them there,
and a ranking that was interrupted goes on with the next model.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hpo import plugins, statistics
from hpo.errors import TaskError
from hpo.space import Task, Validation
from hpo.space.values import with_lists
from hpo.training.builder import passive_threads
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.assembly import Assembly
    from trainables.ranking import Measurement

T = TypeVar("T")
SIZES = {
    "small": (
        "resnet18",
        "timm:mobilenetv3_large_100",
        "timm:efficientnet_b0",
        "timm:vit_tiny_patch16_224",
        "timm:convnext_nano",
    ),
    "base": (
        "resnet50",
        "timm:vit_small_patch16_224",
        "timm:swin_tiny_patch4_window7_224",
        "timm:convnext_tiny",
        "timm:vit_base_patch16_224",
    ),
}
"""Models to rank, by size: convolutional networks and transformers of up to 16 (small) or 87 million weights."""


@dataclass(frozen=True)
class RankedModel:
    """A pretrained model, and how well its features tell the classes of a data set apart."""

    model: str
    accuracy: float
    """The accuracy of the probe on the images that it was not fitted on, in 0..1."""
    low: float
    """The lower end of the 95 % interval of `accuracy` on new images."""
    high: float
    """The upper end."""
    as_good: bool
    """Whether it cannot be told apart from the model with the highest accuracy, on the same images."""
    logme: float
    """The logarithm of the evidence per image: higher is better. See `trainables/ranking/logme.py`."""
    seconds_of_last_stages: tuple[float, ...]
    """The time that the last 1, 2, ... stages with weights take for an image, on all cores or on the GPU."""
    n_parameters: int
    """The number of weights without the last layer."""
    n_features: int
    """The number of features that the last layer receives."""
    image_size: tuple[int, int]
    """Height and width of the images in pixels."""

    @property
    def seconds_per_image(self) -> float:
        """The time that the whole frozen network takes for an image, on all cores or on the GPU."""
        return self.seconds_of_last_stages[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return the model as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> RankedModel:
        """Return the model that `to_dict` returned, as JSON holds it."""
        height, width = content["image_size"]
        seconds = tuple(content["seconds_of_last_stages"])
        return cls(**{**content, "image_size": (height, width), "seconds_of_last_stages": seconds})


@dataclass(frozen=True)
class Ranking:
    """The models of a ranking, and how it was made."""

    models: tuple[RankedModel, ...]
    """The highest accuracy first. Of equal ones, the higher LogME first."""
    skipped: Mapping[str, str]
    """The models that could not be ranked, and why."""
    n_images: int
    """The number of images that were classified by a probe that was not fitted on them."""
    n_groups: int | None
    """The number of their groups, which are independent instead of the images. None without groups."""
    n_classes: int
    validation: Validation
    """How the search part was split: by folds, or as the data set says."""


def rank(
    task: Task,
    models: Iterable[str],
    data: Path,
    *,
    config: Config | None = None,
    device: str = "cpu",
    notify: Callable[[str], None] = lambda line: None,
) -> Ranking:
    """Rank models on the search part of the data set of a task.

    `task` gives the data set, the weights and the folds. If the data set has a validation part of its own, it replaces
    the folds. `data` is the folder of the data sets and weights. `config` holds hyperparameters of the images, such as
    `image_size`. The next of `models` is asked for when one is ranked, so a generator can end the ranking. A model
    whose weights are missing, or that does not fit the data set or the memory, is skipped. `notify` is called with a
    line then.

    Raises TaskError if the data set cannot be read or split, or if no model can be ranked, and UserError if there is no
    model of a name.
    """
    passive_threads()
    settings: dict[str, Any] = {name: with_lists(value) for name, value in (config or {}).items()}
    task = _validated(task, data, device)
    found: dict[str, Measurement] = {}
    skipped: dict[str, str] = {}
    classes: Sequence[str] = ()
    for model in models:
        assembly = _assembly(replace(task, model=model), data, device)
        try:
            found[model], classes = _attempt(functools.partial(_measure, assembly, settings), device)
        except _Unusable as error:
            skipped[model] = str(error)
            notify(f"{model} is skipped: {error}")
    if not found:
        raise TaskError("no model can be ranked: " + "; ".join(f"{name}: {why}" for name, why in skipped.items()))
    first = next(iter(found.values()))
    n_groups = None if first.groups is None else len(set(first.groups.tolist()))
    return Ranking(_ranked(found), skipped, len(first.is_correct), n_groups, len(classes), task.validation)


class _Unusable(Exception):
    """A model does not fit the data set or the memory, or its weights are missing. The message says which."""


def _attempt(measure: Callable[[], T], device: str) -> T:
    """Return what a measurement of a model returns. Raises _Unusable if the model cannot be measured."""
    from trainables import memory
    from trainables.errors import SetupError

    try:
        return measure()
    except SetupError as error:
        raise _Unusable(str(error)) from error
    except Exception as error:  # torch raises several kinds of errors if memory runs out
        place = memory.shortage(error)
        if place is None:
            raise
    memory.release(device)  # after the error, which holds what filled the memory
    raise _Unusable(f"it does not fit into the memory of the {'GPU' if place == 'gpu' else 'machine'}")


def _measure(assembly: Assembly, settings: dict[str, Any]) -> tuple[Measurement, Sequence[str]]:
    """Measure the model of a task. Return the measurement and the names of the classes."""
    from trainables.ranking import measure

    folds = [fold for fold in assembly.search_data(settings) if fold is not None]
    network = assembly.build_model(settings, folds[0])
    return measure(network, folds, bf16=settings.get("precision") == "bf16"), folds[0].classes


def faster_precision(task: Task, models: Iterable[str], data: Path, device: str = "cpu") -> str:
    """Return the precision in which networks are fastest on a device: "bf16" or "fp32".

    It is measured on a few training images, with the first of `models` that `rank` would not skip. If there is none, it
    is "fp32". `data` is the folder of the data sets and weights. Raises TaskError if the data set cannot be read.
    """
    passive_threads()
    task = _validated(task, data, device)
    for model in models:
        assembly = _assembly(replace(task, model=model), data, device)
        with contextlib.suppress(_Unusable):
            return _attempt(functools.partial(_faster_precision, assembly), device)
    return "fp32"


def _faster_precision(assembly: Assembly) -> str:
    """Return the precision in which the model of a task is fastest."""
    from trainables import ranking

    (found, *_) = assembly.search_data({})
    assert found is not None, "the task names a data set"
    return ranking.faster_precision(assembly.build_model({}, found), found.train)


def weights_at_hand(models: Iterable[str], data: Path) -> list[str]:
    """Return those of `models` whose ImageNet weights lie in the folder of the data sets and weights."""
    return [model for model in models if (file := _weights_file(model)) and (data / "weights" / file).is_file()]


def _weights_file(model: str) -> str | None:
    """Return the name of the file of the ImageNet weights of a model.

    None if it has none, or if a package that it needs is missing.
    """
    from trainables.errors import SetupError

    try:
        return getattr(plugins.load("trainables.models", model), "WEIGHTS", None)
    except SetupError:
        return None


def _assembly(task: Task, data: Path, device: str) -> Assembly:
    from trainables.assembly import Assembly

    return Assembly(task, functools.cache(plugins.load), data, device)


def _validated(task: Task, data: Path, device: str) -> Task:
    """Return the task, without folds if its data set has a validation part of its own. A TaskError if it has no data.

    It also splits the data set, so that an error in it is raised before the first model.
    """
    from trainables.data import splits
    from trainables.errors import SetupError

    try:
        assembly = _assembly(task, data, device)
        dataset, pretraining = assembly.load_datasets()
        if splits.search_images(dataset)[1] is not None:
            task = replace(task, validation=Validation(group=task.validation.group))
            assembly = _assembly(task, data, device)
        assembly.split_dataset(dataset, pretraining)
    except SetupError as error:
        raise TaskError(str(error)) from error
    return task


def _ranked(found: Mapping[str, Measurement]) -> tuple[RankedModel, ...]:
    """Return the measured models with intervals and comparisons, sorted."""
    order = sorted(found, key=lambda name: (-float(found[name].is_correct.double().mean()), -found[name].logme))
    errors = np.stack([1 - found[name].is_correct.numpy().astype(np.float32) for name in order])
    numbers = found[order[0]].groups  # the images are the same for all models
    groups = None if numbers is None else numbers.numpy()
    as_good = statistics.not_apart(errors, 0, np.random.default_rng(0), is_share=True, groups=groups)
    ranked = []
    for name, is_as_good, values in zip(order, as_good, errors, strict=True):
        measured = found[name]
        interval = statistics.mean_interval(1 - values.astype(np.float64), is_share=True, groups=groups)
        ranked.append(
            RankedModel(
                model=name,
                accuracy=float(1 - values.mean(dtype=np.float64)),
                low=interval.low,
                high=interval.high,
                as_good=bool(is_as_good),
                logme=measured.logme,
                seconds_of_last_stages=measured.seconds_of_last_stages,
                n_parameters=measured.n_parameters,
                n_features=measured.n_features,
                image_size=measured.image_size,
            )
        )
    return tuple(ranked)
