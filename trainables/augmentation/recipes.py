"""The augmentation recipes: named sequences of random transforms of the training images.

Each image gets its own random numbers. They are drawn from a CPU generator, so that the same state of the generator
gives the same images on any device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.augmentation import erasing, interface, random_crop, random_operations, transforms
from trainables.augmentation.interface import FROM_0_TO_1
from trainables.hyperparameters import ABOVE_0_TO_1, AT_LEAST_0, Config, Rule, WatchedConfig, read_choice, read_float

HYPERPARAMETERS = {
    "augmentation": [
        "none",
        "flip_jitter",
        "flip_rotation",
        "flip_jitter_rotation",
        "few_shot",
        "crop_flip",
        "crop_flip_jitter",
        "rand_augment",
        "trivial_augment",
        "augmix",
    ],
    "flip_probability": "probability of flipping left and right, 0 to 1; default 0.5, in few_shot 0.1",
    "brightness": "jitter: the factor is drawn from max(0, 1 - this) to 1 + this, at least 0; default 0.4",
    "contrast": "jitter: the factor is drawn from max(0, 1 - this) to 1 + this, at least 0; default 0.4",
    "saturation": "jitter: the factor is drawn from max(0, 1 - this) to 1 + this, at least 0; default 0.4",
    "hue": "jitter: the largest shift either way, as a share of the colour circle, 0 to 0.5; default 0",
    "degrees": "rotation: the largest angle either way, 0 to 180; default 30, in few_shot 10",
    "crop_share": "few_shot: the side of the random crop as a share of the image's, above 0 to 1; default 200/227",
    "sharpness": "few_shot: 1 leaves an image as it is, 2 sharpens it, 0 blurs it, at least 0; default 2",
    "sharpness_probability": "few_shot: probability of changing the sharpness, 0 to 1; default 0.1",
    "greyscale_probability": "few_shot: probability of converting to greyscale, 0 to 1; default 0.1",
}
MEANINGS = {"augmentation": "random changes of each training image"}
RECIPES: dict[str, tuple[str, list[str]]] = {
    "none": ("no change", []),
    "flip_jitter": (
        "flip, then jitter of the colours",
        ["flip_probability", "brightness", "contrast", "saturation", "hue"],
    ),
    "flip_rotation": ("flip, then rotation", ["flip_probability", "degrees"]),
    "flip_jitter_rotation": (
        "flip, jitter of the colours, then rotation",
        ["flip_probability", "brightness", "contrast", "saturation", "hue", "degrees"],
    ),
    "few_shot": (
        "flip, small rotation and crop, sharpness, greyscale",
        ["flip_probability", "degrees", "crop_share", "sharpness", "sharpness_probability", "greyscale_probability"],
    ),
    "crop_flip": ("random resized crop, then flip", ["crop_scale", "crop_ratio", "flip_probability"]),
    "crop_flip_jitter": (
        "random resized crop, flip, then jitter of the colours",
        ["crop_scale", "crop_ratio", "flip_probability", "brightness", "contrast", "saturation", "hue"],
    ),
    "rand_augment": (
        "random resized crop, flip, then random operations of one magnitude (Cubuk et al. 2019)",
        ["crop_scale", "crop_ratio", "flip_probability", "num_ops", "magnitude"],
    ),
    "trivial_augment": (
        "random resized crop, flip, then one random operation of a random strength (Müller and Hutter 2021)",
        ["crop_scale", "crop_ratio", "flip_probability"],
    ),
    "augmix": (
        "random resized crop, flip, then a mean of the image and of chains of operations (Hendrycks et al. 2019)",
        ["crop_scale", "crop_ratio", "flip_probability", "severity", "mixture_width", "chain_depth", "augmix_alpha"],
    ),
}
"""What each recipe does, and the hyperparameters that it reads. `hpo describe` reads this without running it."""
RANGES = {
    "flip_probability": "0 <= float <= 1",
    "brightness": "float >= 0",
    "contrast": "float >= 0",
    "saturation": "float >= 0",
    "hue": "0 <= float <= 0.5",
    "degrees": "0 <= float <= 180",
    "crop_share": "0 < float <= 1",
    "sharpness": "float >= 0",
    "sharpness_probability": "0 <= float <= 1",
    "greyscale_probability": "0 <= float <= 1",
}
WHEN = {
    "flip_probability": {
        "augmentation": [
            "flip_jitter",
            "flip_rotation",
            "flip_jitter_rotation",
            "few_shot",
            "crop_flip",
            "crop_flip_jitter",
            "rand_augment",
            "trivial_augment",
            "augmix",
        ]
    },
    "brightness": {"augmentation": ["flip_jitter", "flip_jitter_rotation", "crop_flip_jitter"]},
    "contrast": {"augmentation": ["flip_jitter", "flip_jitter_rotation", "crop_flip_jitter"]},
    "saturation": {"augmentation": ["flip_jitter", "flip_jitter_rotation", "crop_flip_jitter"]},
    "hue": {"augmentation": ["flip_jitter", "flip_jitter_rotation", "crop_flip_jitter"]},
    "degrees": {"augmentation": ["flip_rotation", "flip_jitter_rotation", "few_shot"]},
    "crop_share": {"augmentation": ["few_shot"]},
    "sharpness": {"augmentation": ["few_shot"]},
    "sharpness_probability": {"augmentation": ["few_shot"]},
    "greyscale_probability": {"augmentation": ["few_shot"]},
}
READS_ALSO = (
    "trainables.augmentation.random_crop",
    "trainables.augmentation.random_operations",
    "trainables.augmentation.erasing",
)
VERSION = 3
"""A part of the keys of cached views. Increase it if a recipe returns other images than before."""
FROM_0_TO_HALF = Rule("of at least 0 and at most 0.5", lambda value: 0 <= value <= 0.5)
FROM_0_TO_180 = Rule("of at least 0 and at most 180", lambda value: 0 <= value <= 180)
Recipe = interface.Recipe

NAMES = tuple(HYPERPARAMETERS["augmentation"])
CROPPED = ("crop_flip", "crop_flip_jitter", "rand_augment", "trivial_augment", "augmix")
"""The recipes that begin with a random resized crop and a flip."""


def recipe(config: Config, mean: Tensor | None = None) -> Recipe | None:
    """Return the recipe that `config` names, then random erasing, or None if it asks for neither.

    flip_jitter, flip_rotation and flip_jitter_rotation apply the transforms in their names, in that order. Jitter
    changes the brightness, contrast, saturation and hue, in that order. few_shot applies flip, rotation, crop (resized
    to the original size), sharpness and greyscale. Rotation and crop are bilinear. Pixels that a rotation takes from
    outside the image are black. The others begin with a random resized crop and a flip.

    `mean` is that of `erasing.build`. A WrongValue if a value is not allowed.
    """
    found = _named(config, read_choice(config, "augmentation", "none", NAMES))
    erase = erasing.build(config, mean)
    if erase is not None:
        found.append(erase)
    return partial(_apply_all, found) if found else None


def settings(config: Config, mean: Tensor | None = None) -> list[tuple[str, object]]:
    """Return all that the images of the recipe depend on, beside the images that go in and `VERSION`.

    These are the hyperparameters that the recipe reads, with the defaults of those that `config` does not have.
    """
    of_recipe, of_erasing = WatchedConfig(config), WatchedConfig(config)
    _named(of_recipe, read_choice(of_recipe, "augmentation", "none", NAMES))
    found: dict[str, object] = dict(of_recipe.read)
    if found.get("crop_scale") == 1:  # the crop is left out
        del found["crop_ratio"]
    if erasing.build(of_erasing) is not None:
        found |= of_erasing.read
        found |= {} if mean is None else {"mean": mean.flatten().tolist()}
    return sorted(found.items())


def _named(config: Config, name: str) -> list[Recipe]:
    """Return the parts of the recipe of this name, which are applied one after another."""
    if name == "none":
        return []
    if name in CROPPED:
        return _cropped(config, name)
    if name == "few_shot":
        steps = [_flip(config, 0.1), *_rotation(config, 10.0), *_crop(config), _sharpness(config), _greyscale(config)]
        return [partial(_run, steps)]
    steps = [_flip(config, 0.5)]
    if name in ("flip_jitter", "flip_jitter_rotation"):
        steps += _jitter(config)
    if name in ("flip_rotation", "flip_jitter_rotation"):
        steps += _rotation(config, 30.0)
    return [partial(_run, steps)]


def _cropped(config: Config, name: str) -> list[Recipe]:
    crop = random_crop.build(config)
    steps = [_flip(config, 0.5), *(_jitter(config) if name == "crop_flip_jitter" else [])]
    found: list[Recipe] = [*([] if crop is None else [crop]), partial(_run, steps)]
    if name == "rand_augment":
        found.append(random_operations.rand_augment(config))
    elif name == "trivial_augment":
        found.append(random_operations.trivial_augment)
    elif name == "augmix":
        found.append(random_operations.augmix(config))
    return found


def _apply_all(parts: Sequence[Recipe], images: Tensor, generator: torch.Generator) -> Tensor:
    if images.dtype != torch.float32:
        raise ValueError(f"images must be float32 of 0..1 to be augmented, but are {images.dtype}")
    for part in parts:
        images = part(images, generator)
    return images


class _Step(NamedTuple):
    """One transform of a recipe."""

    n_draws: int
    """The number of random numbers that it needs for each image."""
    apply: Callable[[Tensor, Tensor], Tensor]
    """Takes images and their random numbers, uniform in [0, 1), (n, n_draws), on the device of the images. Returns the
    transformed images."""


def _run(steps: Sequence[_Step], images: Tensor, generator: torch.Generator) -> Tensor:
    n_draws = [step.n_draws for step in steps]
    # All numbers are drawn at once, so that a GPU waits for one transfer per batch and not for one per transform.
    drawn = torch.rand(len(images), sum(n_draws), generator=generator).to(images.device)
    for step, numbers in zip(steps, drawn.split_with_sizes(n_draws, dim=1), strict=True):
        images = step.apply(images, numbers)
    return images


def _flip(config: Config, default: float) -> _Step:
    probability = read_float(config, "flip_probability", default, FROM_0_TO_1)
    return _Step(1, lambda images, drawn: transforms.flip(images, drawn[:, 0] < probability))


def _jitter(config: Config) -> list[_Step]:
    steps = []
    for key, transform in (
        ("brightness", transforms.adjust_brightness),
        ("contrast", transforms.adjust_contrast),
        ("saturation", transforms.adjust_saturation),
    ):
        if strength := read_float(config, key, 0.4, AT_LEAST_0):
            steps.append(_uniform(max(0.0, 1 - strength), 1 + strength, transform))
    if hue := read_float(config, "hue", 0.0, FROM_0_TO_HALF):
        steps.append(_uniform(-hue, hue, transforms.adjust_hue))
    return steps


def _rotation(config: Config, default: float) -> list[_Step]:
    degrees = read_float(config, "degrees", default, FROM_0_TO_180)
    return [_uniform(-degrees, degrees, transforms.rotate)] if degrees else []


def _crop(config: Config) -> list[_Step]:
    share = read_float(config, "crop_share", 200 / 227, ABOVE_0_TO_1)

    def apply(images: Tensor, drawn: Tensor) -> Tensor:
        full_height, full_width = images.shape[2:]
        height, width = (max(1, round(share * side)) for side in (full_height, full_width))
        top = (drawn[:, 0] * (full_height - height + 1)).floor()
        left = (drawn[:, 1] * (full_width - width + 1)).floor()
        return transforms.crop(images, top, left, height=height, width=width)

    return [_Step(2, apply)] if share < 1 else []


def _sharpness(config: Config) -> _Step:
    factor = read_float(config, "sharpness", 2.0, AT_LEAST_0)
    probability = read_float(config, "sharpness_probability", 0.1, FROM_0_TO_1)
    return _with_probability(probability, factor, transforms.adjust_sharpness)


def _greyscale(config: Config) -> _Step:
    probability = read_float(config, "greyscale_probability", 0.1, FROM_0_TO_1)
    return _with_probability(probability, 0.0, transforms.adjust_saturation)


def _uniform(low: float, high: float, transform: Callable[[Tensor, Tensor], Tensor]) -> _Step:
    """Return a step that applies `transform` with a number drawn uniformly from `low` to `high`."""
    return _Step(1, lambda images, drawn: transform(images, low + (high - low) * drawn[:, 0]))


def _with_probability(probability: float, factor: float, transform: Callable[[Tensor, Tensor], Tensor]) -> _Step:
    """Return a step that applies `transform` with `factor`, with this probability, and otherwise does nothing.

    A factor of 1 must leave an image unchanged.
    """

    def apply(images: Tensor, drawn: Tensor) -> Tensor:
        unchanged = torch.ones_like(drawn[:, 0])
        return transform(images, unchanged.masked_fill(drawn[:, 0] < probability, factor))

    return _Step(1, apply)
