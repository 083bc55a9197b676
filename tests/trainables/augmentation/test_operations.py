"""Each operation is that of torchvision, for every image of a batch by itself."""

import pytest
import torch
from torch import Tensor

from tests.trainables.augmentation import references
from tests.trainables.noises import noise, seeded
from trainables.augmentation import operations
from trainables.augmentation.operations import NAMES, Strengths

TOLERANCE = 2e-5
"""Of full brightness, on noise; both compute in float32."""
SIZES = pytest.mark.parametrize("size", [(24, 24), (15, 31)], ids=str)
CHANNELS = pytest.mark.parametrize("channels", [1, 3])
STRONG = Strengths(0.35, 9.0, 9.0, 75.0, 0.95, (8, 0))


def images_of(n: int, channels: int, size: tuple[int, int]) -> Tensor:
    """Images as they are read from files: whole numbers of 0 to 255, divided by 255. None is black or white."""
    return references.in_bytes(noise(n, channels, *size) * 0.8 + 0.1).float() / 255


def drawn(name: str, n: int) -> tuple[Tensor, Tensor]:
    """An operation, `n` times, and `n` of its values from the weakest to the strongest, every other one negative."""
    chosen, levels = torch.full((n,), NAMES.index(name)), torch.arange(n)
    return chosen, operations.values(NAMES, STRONG, chosen, levels, levels % 2 == 1, n_levels=n)


def applied(images: Tensor, chosen: Tensor, values: Tensor, mode: str) -> Tensor:
    changed = images.clone()
    operations.apply_in_place(changed, NAMES, chosen, values, mode=mode)
    return changed


@SIZES
@CHANNELS
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_every_operation_is_that_of_torchvision_at_every_value(size: tuple[int, int], channels: int, mode: str) -> None:
    images = images_of(9, channels, size)
    for name in NAMES:
        if mode == "bilinear" and name not in operations.AFFINE:
            continue
        chosen, values = drawn(name, 9)
        expected = [references.operated(*each, mode) for each in zip(images, [name] * 9, values.tolist(), strict=True)]
        found = applied(images, chosen, values, mode)
        torch.testing.assert_close(found, torch.stack(expected), atol=TOLERANCE, rtol=0, msg=name)
        has_no_colour = name == "color" and channels == 1
        assert torch.equal(found, images) == (name == "identity" or has_no_colour)


def test_a_pixel_from_exactly_between_two_pixels_is_one_of_the_two() -> None:
    """A shear by 0.04 takes rows 12, 37, ... from exactly between two columns. There, rounding decides."""
    image = noise(1, 3, 50, 50)
    value = torch.tensor([0.04], dtype=torch.float64)
    found = applied(image, torch.tensor([NAMES.index("shear_x")]), value, "nearest")[0]
    expected = references.operated(image[0], "shear_x", 0.04, "nearest")
    assert set((found != expected).any(dim=0).nonzero()[:, 0].tolist()) <= {12, 37}
    either = torch.stack([references.operated(image[0], "shear_x", value, "nearest") for value in (0.0399, 0.0401)])
    assert (either == found).all(dim=1).any(dim=0).all()


@CHANNELS
def test_images_of_uint8_differ_by_their_rounding_alone(channels: int) -> None:
    images = images_of(9, channels, (24, 24))
    bounds = {"sharpness": 1.5, "color": 2.0, "contrast": 2.0}
    for name in NAMES:
        chosen, values = drawn(name, 9)
        pairs = zip(references.in_bytes(images), values.tolist(), strict=True)
        rounded = torch.stack([references.operated(image, name, value, "nearest") for image, value in pairs])
        difference = (applied(images, chosen, values, "nearest") * 255 - rounded).abs().max()
        assert difference < bounds.get(name, 1.001), name


@pytest.mark.parametrize("size", [(24, 24), (224, 320), (331, 331)], ids=str)
@pytest.mark.parametrize(
    ("kind", "n_levels"), [("RandAugment", 31), ("TrivialAugmentWide", 31), ("AugMix", 10)], ids=str
)
def test_the_values_of_every_magnitude_are_those_of_torchvision(
    kind: str, n_levels: int, size: tuple[int, int]
) -> None:
    height, width = size
    strengths = {
        "RandAugment": Strengths(0.3, 150 / 331 * width, 150 / 331 * height, 30.0, 0.9, (8, 4)),
        "TrivialAugmentWide": Strengths(0.99, 32.0, 32.0, 135.0, 0.99, (8, 2)),
        "AugMix": Strengths(0.3, width / 3, height / 3, 30.0, 0.9, (4, 0)),
    }[kind]
    levels = torch.arange(n_levels)
    for name in NAMES[1:] if kind == "AugMix" else NAMES:
        chosen = torch.full((n_levels,), NAMES.index(name))
        for negative in (False, True):
            signs = torch.full((n_levels,), negative)
            found = operations.values(NAMES, strengths, chosen, levels, signs, n_levels=n_levels)
            expected = torch.tensor(
                [references.value(kind, name, i, negative, n_levels, size) for i in range(n_levels)]
            )
            whole = name in ("translate_x", "translate_y")
            assert torch.equal(found.float(), expected.trunc() if whole else expected), name


def test_each_image_of_a_batch_gets_its_own_operation_and_no_other_image_changes() -> None:
    images = images_of(3 * len(NAMES), 3, (24, 24))
    chosen = torch.randperm(len(images), generator=seeded()) % len(NAMES)
    levels = torch.randint(9, (len(images),), generator=seeded())
    values = operations.values(NAMES, STRONG, chosen, levels, levels % 2 == 1, n_levels=9)
    alone = [applied(images[i : i + 1], chosen[i : i + 1], values[i : i + 1], "nearest") for i in range(len(images))]
    torch.testing.assert_close(applied(images, chosen, values, "nearest"), torch.cat(alone), atol=1e-6, rtol=0)


def test_a_channel_of_one_value_keeps_it_where_contrast_would_be_stretched_or_equalized() -> None:
    flat = torch.full((1, 3, 8, 8), 51 / 255)
    torch.testing.assert_close(operations.auto_contrast(flat), flat)
    torch.testing.assert_close(operations.equalize(flat), flat)
