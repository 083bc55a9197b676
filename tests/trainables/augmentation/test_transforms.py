"""Each transform gives for every image of a batch what torchvision gives for that image alone, within TOLERANCE."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.noises import noise
from trainables import vision
from trainables.augmentation import transforms

Transform = Callable[[Tensor, Tensor], Tensor]
TOLERANCE = 2e-5
"""Of full brightness, on noise, where neighbours differ the most; both compute in float32."""
CHANNELS = pytest.mark.parametrize("channels", [1, 3])
SIZES = pytest.mark.parametrize("size", [(23, 23), (16, 37), (40, 9)], ids=str)


@pytest.fixture(scope="module")
def reference() -> Any:
    return vision.transforms().functional


def assert_alike(transformed: Tensor, single: Callable[[Tensor, int], Tensor], images: Tensor) -> None:
    """`single` is torchvision's transform of image number i; something must have changed."""
    expected = torch.stack([single(image, i) for i, image in enumerate(images)])
    torch.testing.assert_close(transformed, expected, atol=TOLERANCE, rtol=0)
    assert not torch.equal(transformed, images)


@CHANNELS
def test_a_flip_exchanges_left_and_right_where_it_is_chosen(reference: Any, channels: int) -> None:
    images, chosen = noise(4, channels, 11, 14), torch.tensor([True, False, True, False])
    flipped = transforms.flip(images, chosen)
    assert torch.equal(flipped[::2], reference.horizontal_flip(images[::2]))
    assert torch.equal(flipped[1::2], images[1::2])


COLOUR = [
    (transforms.adjust_brightness, [0.0, 0.4, 1.0, 1.7, 3.0]),
    (transforms.adjust_contrast, [0.0, 0.4, 1.0, 1.7, 3.0]),
    (transforms.adjust_saturation, [0.0, 0.4, 1.0, 1.7, 3.0]),
    (transforms.adjust_sharpness, [0.0, 0.4, 1.0, 2.0, 5.0]),
    (transforms.adjust_hue, [-0.5, -0.21, 0.0, 0.13, 0.5]),
]


@pytest.mark.parametrize(("transform", "numbers"), COLOUR)
def test_colours_and_sharpness_are_those_of_torchvision(
    reference: Any, transform: Transform, numbers: list[float]
) -> None:
    images = noise(5, 3, 11, 14)
    of_torchvision = getattr(reference, transform.__name__)
    assert_alike(transform(images, torch.tensor(numbers)), lambda image, i: of_torchvision(image, numbers[i]), images)


@pytest.mark.parametrize(("transform", "numbers"), COLOUR[:2] + COLOUR[3:4])
def test_brightness_contrast_and_sharpness_are_those_of_torchvision_for_one_channel_too(
    reference: Any, transform: Transform, numbers: list[float]
) -> None:
    images = noise(5, 1, 11, 14)
    of_torchvision = getattr(reference, transform.__name__)
    assert_alike(transform(images, torch.tensor(numbers)), lambda image, i: of_torchvision(image, numbers[i]), images)


def test_no_saturation_is_torchvision_s_greyscale(reference: Any) -> None:
    images = noise(3, 3, 11, 14)
    grey = transforms.adjust_saturation(images, torch.zeros(3))
    torch.testing.assert_close(grey, reference.rgb_to_grayscale(images, num_output_channels=3))


@pytest.mark.parametrize("transform", [transforms.adjust_saturation, transforms.adjust_hue])
def test_what_has_no_colours_keeps_them(transform: Transform) -> None:
    images = noise(3, 1, 11, 14)
    assert torch.equal(transform(images, torch.tensor([0.0, 0.3, 0.5])), images)


def test_a_turned_hue_leaves_greys_as_they_are() -> None:
    images = noise(3, 1, 11, 14).expand(3, 3, 11, 14)
    torch.testing.assert_close(transforms.adjust_hue(images, torch.tensor([-0.5, 0.1, 0.3])), images)


@pytest.mark.parametrize("size", [(2, 9), (9, 2), (1, 1)])
def test_an_image_too_small_for_a_blur_keeps_its_sharpness(size: tuple[int, int]) -> None:
    images = noise(2, 3, *size)
    assert torch.equal(transforms.adjust_sharpness(images, torch.tensor([0.0, 2.0])), images)


@CHANNELS
@SIZES
def test_a_rotation_is_bilinear_and_fills_with_black(reference: Any, channels: int, size: tuple[int, int]) -> None:
    angles = [-180.0, -90.0, -30.0, 0.0, 7.3, 45.0, 90.0]
    images = noise(len(angles), channels, *size)
    assert_alike(
        transforms.rotate(images, torch.tensor(angles)),
        # Not fill=0, which darkens the rim twice: once where it samples, once where it fills.
        lambda image, i: reference.rotate(image, angles[i], reference.InterpolationMode.BILINEAR),
        images,
    )


def test_a_rotated_white_image_is_nowhere_brighter_than_white() -> None:
    angles = torch.linspace(-180, 180, 500)
    assert transforms.rotate(torch.ones(500, 1, 17, 13), angles).max() <= 1


@CHANNELS
@SIZES
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_crop_is_resized_to_the_size_of_the_image(
    reference: Any, channels: int, size: tuple[int, int], share: float
) -> None:
    images = noise(3, channels, *size)
    height, width = round(share * size[0]), round(share * size[1])
    tops, lefts = [0, 1, size[0] - height], [size[1] - width, 1, 0]
    assert_alike(
        transforms.crop(images, torch.tensor(tops), torch.tensor(lefts), height=height, width=width),
        lambda image, i: reference.resized_crop(image, tops[i], lefts[i], height, width, list(size)),
        images,
    )


IDENTITIES = [
    (transforms.adjust_brightness, 1.0),
    (transforms.adjust_contrast, 1.0),
    (transforms.adjust_saturation, 1.0),
    (transforms.adjust_sharpness, 1.0),
    (transforms.adjust_hue, 0.0),
    (transforms.rotate, 0.0),
    (lambda images, _: transforms.flip(images, torch.zeros(4, dtype=torch.bool)), 0.0),
    (lambda images, zeros: transforms.crop(images, zeros, zeros, height=11, width=14), 0.0),
]


@CHANNELS
@pytest.mark.parametrize(("transform", "number"), IDENTITIES)
def test_the_number_that_changes_nothing_gives_the_image(transform: Transform, number: float, channels: int) -> None:
    images = noise(4, channels, 11, 14)
    unchanged = transform(images, torch.full((4,), number))
    torch.testing.assert_close(unchanged, images, atol=TOLERANCE, rtol=0)
    assert torch.equal(images, noise(4, channels, 11, 14))
