from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.trainables.declarations import Recording, declared
from tests.trainables.noises import noise, seeded
from trainables import vision
from trainables.augmentation import erasing, random_crop, random_operations, recipes, transforms
from trainables.augmentation.recipes import Recipe
from trainables.hyperparameters import Config

NAMES = [name for name in recipes.NAMES if name != "none"]
named = pytest.mark.parametrize("name", NAMES)
TOLERANCE = 1e-4
"""Of full brightness: sharpening and jitter enlarge what a rotation differs by on noise."""


def built(config: Config) -> Recipe:
    recipe = recipes.recipe(config)
    assert recipe is not None
    return recipe


def test_no_augmentation_is_none() -> None:
    assert recipes.recipe({}) is None
    assert recipes.recipe({"augmentation": "none", "degrees": 10}) is None


def test_the_hyperparameters_that_a_recipe_declares_are_those_that_it_reads() -> None:
    given = {"chain_depth": 2}  # it is read only if it is given
    read = {name: {key for key, _ in recipes.settings({"augmentation": name, **given})} for name in recipes.NAMES}
    assert {name: {"augmentation", *keys} for name, (_, keys) in recipes.RECIPES.items()} == read


def test_a_hyperparameter_has_an_effect_with_the_recipes_that_read_it() -> None:
    declared: dict[str, Any] = {**recipes.WHEN, **random_crop.WHEN, **random_operations.WHEN}
    readers = {key: [name for name, (_, keys) in recipes.RECIPES.items() if key in keys] for key in declared}
    assert {key: {"augmentation": names} for key, names in readers.items()} == declared
    assert {key for _, keys in recipes.RECIPES.values() for key in keys} == declared.keys()


def jittered_and_rotated(image: Tensor, drawn: list[float]) -> Tensor:
    """By torchvision: what flip_jitter_rotation does to an image by these numbers of 0 to 1."""
    reference = vision.transforms().functional
    flip, brightness, contrast, saturation, hue, angle = drawn
    if flip < 0.5:
        image = reference.horizontal_flip(image)
    image = reference.adjust_brightness(image, 0.6 + 0.8 * brightness)
    image = reference.adjust_contrast(image, 2.5 * contrast)
    image = reference.adjust_saturation(image, 0.6 + 0.8 * saturation)
    image = reference.adjust_hue(image, -0.1 + 0.2 * hue)
    rotated: Tensor = reference.rotate(image, -30 + 60 * angle, reference.InterpolationMode.BILINEAR)
    return rotated


def few_shot(image: Tensor, drawn: list[float]) -> Tensor:
    """By torchvision: what few_shot does to an image of 24 by 30 by these numbers; both probabilities are 0.5."""
    reference = vision.transforms().functional
    flip, angle, top, left, sharpness, greyscale = drawn
    if flip < 0.1:
        image = reference.horizontal_flip(image)
    image = reference.rotate(image, -10 + 20 * angle, reference.InterpolationMode.BILINEAR)
    height, width = round(24 * 200 / 227), round(30 * 200 / 227)
    places = int(top * (24 - height + 1)), int(left * (30 - width + 1))
    image = reference.resized_crop(image, *places, height, width, [24, 30])
    if sharpness < 0.5:
        image = reference.adjust_sharpness(image, 2)
    return reference.rgb_to_grayscale(image, num_output_channels=3) if greyscale < 0.5 else image


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"augmentation": "flip_jitter_rotation", "contrast": 1.5, "hue": 0.1}, jittered_and_rotated),
        ({"augmentation": "few_shot", "sharpness_probability": 0.5, "greyscale_probability": 0.5}, few_shot),
    ],
    ids=["flip_jitter_rotation", "few_shot"],
)
def test_a_recipe_does_to_each_image_what_torchvision_does_by_the_same_numbers(config: Config, expected: Any) -> None:
    images = noise(24, 3, 24, 30)
    drawn = torch.rand(24, 6, generator=seeded(5)).tolist()
    singly = torch.stack([expected(image, numbers) for image, numbers in zip(images, drawn, strict=True)])
    torch.testing.assert_close(built(config)(images, seeded(5)), singly, atol=TOLERANCE, rtol=0)


@named
def test_the_images_of_a_batch_are_changed_each_in_a_way_of_its_own(name: str) -> None:
    images = noise(1, 3, 16, 16).repeat(12, 1, 1, 1)
    augmented = built({"augmentation": name})(images, seeded())
    assert len({tuple(image.flatten().tolist()) for image in augmented}) == 12


@named
def test_the_same_generator_state_gives_the_same_images_and_the_next_state_others(name: str) -> None:
    recipe, images, generator = built({"augmentation": name}), noise(8, 3, 16, 16), seeded()
    first, second = recipe(images, generator), recipe(images, generator)
    assert torch.equal(recipe(images, seeded()), first)
    assert not torch.equal(second, first)


@named
def test_the_images_that_go_in_are_not_changed(name: str) -> None:
    images = noise(8, 3, 16, 16)
    built({"augmentation": name})(images, seeded())
    assert torch.equal(images, noise(8, 3, 16, 16))


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(NAMES),
    shape=st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 12), st.integers(1, 12)),
    strength=st.floats(0, 3),
    probability=st.floats(0, 1),
    degrees=st.floats(0, 180),
    seed=st.integers(0, 2**32),
)
def test_values_stay_in_0_to_1_and_the_shape_stays(
    name: str, shape: tuple[int, ...], strength: float, probability: float, degrees: float, seed: int
) -> None:
    config: Config = {
        "augmentation": name,
        **dict.fromkeys(("brightness", "contrast", "saturation", "sharpness"), strength),
        **dict.fromkeys(("flip_probability", "sharpness_probability", "greyscale_probability"), probability),
        "degrees": degrees,
        "hue": probability / 2,
        "crop_share": max(probability, 0.01),
    }
    images = noise(*shape, seed=seed)
    augmented = built(config)(images, seeded(seed))
    assert augmented.shape == images.shape
    assert augmented.dtype == torch.float32
    assert 0 <= augmented.min() <= augmented.max() <= 1


@named
def test_images_of_one_channel_are_augmented_too(name: str) -> None:
    images = noise(8, 1, 16, 16)
    assert not torch.equal(built({"augmentation": name})(images, seeded()), images)


def test_images_that_are_no_float32_of_0_to_1_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images must be float32 of 0\.\.1 to be augmented, but are torch.uint8"):
        built({"augmentation": "flip_jitter"})(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), seeded())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"augmentation": "flip"}, "`augmentation` must be one of none, flip_jitter, .*, augmix, but is 'flip'"),
        ({"augmentation": "flip_jitter", "brightness": -1}, "`brightness` must be of at least 0, but is -1"),
        ({"augmentation": "flip_jitter", "hue": 0.6}, r"`hue` must be of at least 0 and at most 0\.5, but is 0\.6"),
        ({"augmentation": "few_shot", "degrees": 181}, "`degrees` must be of at least 0 and at most 180, but is 181"),
        ({"augmentation": "few_shot", "crop_share": 0}, "`crop_share` must be above 0 and at most 1, but is 0"),
        ({"augmentation": "few_shot", "sharpness": -2}, "`sharpness` must be of at least 0, but is -2"),
        *(
            ({"augmentation": "few_shot", key: 1.5}, f"`{key}` must be of at least 0 and at most 1, but is 1.5")
            for key in ("flip_probability", "sharpness_probability", "greyscale_probability", "random_erasing")
        ),
        ({"augmentation": "crop_flip", "crop_scale": 0}, "`crop_scale` must be above 0 and at most 1, but is 0"),
        ({"augmentation": "crop_flip", "crop_ratio": 0.5}, r"`crop_ratio` must be of at least 1, but is 0\.5"),
        ({"augmentation": "rand_augment", "magnitude": 31}, "`magnitude` .* at least 0 and at most 30, but is 31"),
        ({"augmentation": "rand_augment", "magnitude": 4.5}, r"`magnitude` .* at least 0, but is 4\.5"),
        ({"augmentation": "rand_augment", "num_ops": -1}, "`num_ops` must be a whole number of at least 0, but is -1"),
        ({"augmentation": "augmix", "severity": 11}, "`severity` .* at least 1 and at most 10, but is 11"),
        ({"augmentation": "augmix", "mixture_width": 0}, "`mixture_width` .* at least 1, but is 0"),
        ({"augmentation": "augmix", "chain_depth": 0}, "`chain_depth` .* at least 1, but is 0"),
        ({"augmentation": "augmix", "augmix_alpha": 0}, "`augmix_alpha` must be above 0, but is 0"),
        (
            {"random_erasing": 0, "erasing_scale": 0.01},
            r"`erasing_scale` .* at least 0\.02 and at most 1, but is 0\.01",
        ),
        ({"erasing_mode": "noise"}, "`erasing_mode` must be one of const, pixel, but is 'noise'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipes.recipe(config)


def test_every_key_that_is_read_is_declared_and_every_declared_choice_builds() -> None:
    read: set[str] = set()
    keys = declared("trainables.augmentation.recipes")
    for name in keys["augmentation"]:
        recording = Recording({"augmentation": name})
        assert (recipes.recipe(recording) is None) == (name == "none")
        read |= recording.read
    assert read == set(keys)


def test_a_crop_and_a_flip_come_first_then_the_operations_then_erasing() -> None:
    config: Config = {"augmentation": "rand_augment", "num_ops": 1, "random_erasing": 0.8}
    images, mean, generator = noise(16, 3, 20, 24), torch.full((1, 3, 1, 1), 0.5), seeded(6)
    crop, erase = random_crop.build(config), erasing.build(config, mean)
    assert crop is not None
    assert erase is not None
    expected = crop(images, generator)
    expected = transforms.flip(expected, torch.rand(16, generator=generator) < 0.5)
    expected = erase(random_operations.rand_augment(config)(expected, generator), generator)
    found = recipes.recipe(config, mean)
    assert found is not None
    assert torch.equal(found(images, seeded(6)), expected)


def test_random_erasing_needs_no_other_augmentation() -> None:
    images = torch.ones(8, 3, 16, 16)
    erased = built({"random_erasing": 1.0})(images, seeded())
    assert ((erased == 0) | (erased == 1)).all()
    assert (erased == 0).flatten(1).any(dim=1).all()


def test_settings_differ_where_images_do() -> None:
    config: Config = {"augmentation": "crop_flip", "random_erasing": 0.5}
    grey, black = torch.full((1, 3, 1, 1), 0.5), torch.zeros(1, 3, 1, 1)
    assert recipes.settings(config, grey) != recipes.settings(config, black)
    assert recipes.settings(config) != recipes.settings({**config, "crop_scale": 0.5})
    assert recipes.settings({"augmentation": "crop_flip"}, grey) == recipes.settings(
        {"augmentation": "crop_flip"}, black
    )


def test_settings_are_equal_where_images_are_whatever_other_recipes_read() -> None:
    flips: Config = {"augmentation": "flip_rotation"}
    assert recipes.settings(flips) == [("augmentation", "flip_rotation"), ("degrees", 30.0), ("flip_probability", 0.5)]
    others: Config = {"magnitude": 5, "brightness": 0.9, "crop_scale": 0.5, "erasing_scale": 0.1, "lr": 0.1}
    assert recipes.settings({**flips, **others, "degrees": 30}) == recipes.settings(flips)
    whole: Config = {"augmentation": "rand_augment", "crop_scale": 1}
    assert recipes.settings({**whole, "crop_ratio": 2, "magnitude": 9}) == recipes.settings(whole)
    assert recipes.settings({**whole, "magnitude": 10}) != recipes.settings(whole)
    assert recipes.settings({**flips, "random_erasing": 0.5, "erasing_scale": 0.1}) != recipes.settings(
        {**flips, "random_erasing": 0.5}
    )


@named
@pytest.mark.cuda
def test_the_same_generator_state_gives_the_same_images_on_cuda(name: str) -> None:
    recipe, images = built({"augmentation": name, "hue": 0.1}), noise(16, 3, 24, 24)
    on_cuda = recipe(images.to("cuda"), seeded())
    torch.testing.assert_close(on_cuda.cpu(), recipe(images, seeded()), atol=TOLERANCE, rtol=0)
