"""How the random numbers of a recipe are drawn: each transform by itself, on images that show its number."""

import pytest
import torch

from tests.trainables.noises import noise, seeded
from trainables.augmentation import recipes
from trainables.augmentation.recipes import Recipe
from trainables.hyperparameters import Config, Scalar

IDENTITY: Config = {
    "flip_probability": 0,
    "brightness": 0,
    "contrast": 0,
    "saturation": 0,
    "hue": 0,
    "degrees": 0,
    "crop_share": 1,
    "sharpness_probability": 0,
    "greyscale_probability": 0,
    "crop_scale": 1,
    "num_ops": 0,
}


def only(name: str, **config: Scalar) -> Recipe:
    """The recipe with nothing in it but what `config` gives; None takes the recipe's own default."""
    recipe = recipes.recipe({**IDENTITY, "augmentation": name, **config})
    assert recipe is not None
    return recipe


@pytest.mark.parametrize("name", [*recipes.NAMES[1:-2]])
def test_values_that_change_nothing_give_the_very_images(name: str) -> None:
    images = noise(8, 3, 15, 13)
    assert torch.equal(only(name)(images, seeded()), images)


@pytest.mark.parametrize(("strength", "low", "high"), [(0.4, 0.6, 1.4), (1.5, 0, 2.5)])
def test_a_factor_is_drawn_evenly_around_1_and_never_below_0(strength: float, low: float, high: float) -> None:
    grey = torch.full((2000, 3, 2, 2), 0.25)
    factors = only("flip_jitter", brightness=strength)(grey, seeded())[:, 0, 0, 0] / 0.25
    shares = torch.histc(factors, bins=8, min=low, max=high) / 2000
    torch.testing.assert_close(shares, torch.full((8,), 1 / 8), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("name", "probability"),
    [*((name, 0.5) for name in recipes.NAMES[1:-2] if name != "few_shot"), ("few_shot", 0.1)],
)
def test_left_and_right_are_exchanged_with_the_probability_of_the_recipe(name: str, probability: float) -> None:
    images = torch.tensor([0.0, 1.0]).expand(2000, 3, 2, 2)
    augmented = only(name, flip_probability=None)(images, seeded())
    assert augmented[:, 0, 0, 0].mean().item() == pytest.approx(probability, abs=0.04)


@pytest.mark.parametrize(("name", "degrees"), [("flip_rotation", 30.0), ("few_shot", 10.0)])
def test_without_degrees_the_recipe_s_own_are_those_of_the_rotation(name: str, degrees: float) -> None:
    images = noise(8, 3, 16, 16)
    by_default = only(name, degrees=None)(images, seeded())
    assert torch.equal(by_default, only(name, degrees=degrees)(images, seeded()))
    assert not torch.equal(by_default, images)


@pytest.mark.parametrize("key", ["sharpness_probability", "greyscale_probability"])
def test_one_image_in_ten_is_sharpened_and_one_in_ten_loses_its_colours(key: str) -> None:
    images = noise(1, 3, 5, 5).repeat(2000, 1, 1, 1)
    augmented = only("few_shot", **{key: None})(images, seeded())
    changed = (augmented != images).flatten(1).any(dim=1).float().mean()
    assert changed.item() == pytest.approx(0.1, abs=0.03)


def test_a_crop_lies_at_every_place_equally_often() -> None:
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(4), indexing="ij")
    images = torch.stack([rows, columns]).div(8).expand(3000, 2, 6, 4).clone()
    corners = only("few_shot", crop_share=0.5)(images, seeded())[:, :, 0, 0] * 8
    places, counts = corners.round().unique(dim=0, return_counts=True)  # type: ignore[no-untyped-call]
    assert places.tolist() == [[top, left] for top in range(4) for left in range(3)]
    torch.testing.assert_close(counts / 3000, torch.full((12,), 1 / 12), atol=0.025, rtol=0)
