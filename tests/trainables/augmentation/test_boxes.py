"""Crops and erased boxes are distributed as those of torchvision."""

from typing import Any

import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from tests.trainables.noises import noise, seeded
from trainables import vision
from trainables.augmentation import erasing, random_crop

N = 1000
SMALLEST_P_VALUE = 1e-3
"""Of Kolmogorov and Smirnov's test. The seeds are fixed."""
SIZES = pytest.mark.parametrize("size", [(224, 224), (20, 80)], ids=str)


def of_torchvision(transform: Any, size: tuple[int, int], keys: tuple[str, ...]) -> Tensor:
    """N draws of torchvision's transform for an image of `size`, (N, len(keys))."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = [transform.make_params([torch.zeros(3, *size)]) for _ in range(N)]
    return torch.tensor([[draw[key] for key in keys] for draw in draws])


def assert_distributed_alike(found: Tensor, expected: Tensor) -> None:
    for ours, theirs in zip(found.T, expected.T, strict=True):
        assert ks_2samp(ours.numpy(), theirs.numpy(), method="asymp").pvalue > SMALLEST_P_VALUE
    correlations, of_reference = (torch.corrcoef(each.T.double()) for each in (found, expected))
    torch.testing.assert_close(correlations, of_reference, atol=0.15, rtol=0, equal_nan=True)


@SIZES
@pytest.mark.parametrize(("scale", "ratio"), [(0.08, 4 / 3), (0.5, 3.0)], ids=str)
def test_crops_are_distributed_as_those_of_torchvision(size: tuple[int, int], scale: float, ratio: float) -> None:
    reference = vision.transforms().RandomResizedCrop(8, scale=(scale, 1), ratio=(1 / ratio, ratio))
    expected = of_torchvision(reference, size, ("top", "left", "height", "width"))
    found = random_crop.draw(N, size, scale, ratio, seeded())
    assert_distributed_alike(found, expected)
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2:] > 0).all()
    assert (found[:, :2] + found[:, 2:] <= torch.tensor(size)).all()


@pytest.mark.parametrize(("size", "box"), [((10, 400), (10, 11)), ((400, 10), (11, 10))])
def test_where_no_box_fits_the_crop_is_central(size: tuple[int, int], box: tuple[int, int]) -> None:
    reference = vision.transforms().RandomResizedCrop(8, scale=(0.9, 1), ratio=(1 / 1.1, 1.1))
    expected = reference.make_params([torch.zeros(3, *size)])
    found = random_crop.draw(5, size, 0.9, 1.1, seeded())
    assert found[:, 2:].tolist() == [list(box)] * 5
    assert found.tolist() == [[expected[key] for key in ("top", "left", "height", "width")]] * 5


def test_a_crop_is_resized_as_torchvision_resizes_it() -> None:
    images, generator = noise(6, 3, 30, 22), seeded(7)
    crop = random_crop.build({})
    assert crop is not None
    found = crop(images, generator)
    boxes = random_crop.draw(6, (30, 22), 0.08, 4 / 3, seeded(7)).tolist()
    resized = vision.transforms().functional.resized_crop
    expected = torch.stack([resized(image, *box, [30, 22]) for image, box in zip(images, boxes, strict=True)])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@SIZES
@pytest.mark.parametrize("scale", [0.33, 1.0])
def test_erased_boxes_are_distributed_as_those_of_torchvision(size: tuple[int, int], scale: float) -> None:
    reference = vision.transforms().RandomErasing(p=1, scale=(0.02, scale), ratio=(0.3, 3.3))
    expected = of_torchvision(reference, size, ("i", "j", "h", "w"))
    is_whole = (expected[:, 2:] == torch.tensor(size)).all(dim=1)  # no box of ten fitted
    expected[is_whole] = 0
    found = erasing.draw(N, size, 1.0, scale, seeded())
    found[(found[:, 2:] == 0).all(dim=1)] = 0
    assert_distributed_alike(found, expected)
    assert (found[:, 2:] < torch.tensor(size)).all()


@pytest.mark.parametrize("probability", [0.25, 1.0])
def test_images_are_erased_with_the_probability_given(probability: float) -> None:
    erased = erasing.draw(N, (32, 32), probability, 0.33, seeded())[:, 2] > 0
    assert erased.float().mean().item() == pytest.approx(probability, abs=0.04)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_box_gets_the_mean_of_the_normalisation_and_the_rest_stays(channels: int) -> None:
    images, mean = noise(20, channels, 16, 20), torch.tensor([0.5, 0.25, 0.75])[:channels].reshape(1, -1, 1, 1)
    boxes = erasing.draw(20, (16, 20), 0.7, 0.33, seeded(3)).tolist()
    expected = images.clone()
    for image, (top, left, height, width) in zip(expected, boxes, strict=True):
        image[:, top : top + height, left : left + width] = mean[0]
    erase = erasing.build({"random_erasing": 0.7}, mean)
    assert erase is not None
    assert torch.equal(erase(images, seeded(3)), expected)
    assert torch.equal(images, noise(20, channels, 16, 20))


def test_without_a_normalisation_a_box_is_black() -> None:
    erase = erasing.build({"random_erasing": 1})
    assert erase is not None
    assert set(erase(torch.ones(20, 3, 16, 20), seeded()).flatten().tolist()) == {0.0, 1.0}


def test_pixels_of_an_erased_box_are_uniform_and_each_its_own() -> None:
    erase = erasing.build({"random_erasing": 1, "erasing_mode": "pixel"}, torch.zeros(1, 3, 1, 1))
    assert erase is not None
    images = torch.full((40, 3, 32, 32), 2.0)
    erased = erase(images, seeded())
    values = erased[erased < 2]
    assert len(set(values.tolist())) > 0.98 * len(values)
    shares = torch.histc(values, bins=10, min=0, max=1) / len(values)
    torch.testing.assert_close(shares, torch.full((10,), 0.1), atol=0.01, rtol=0)
