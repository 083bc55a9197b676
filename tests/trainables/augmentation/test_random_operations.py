"""RandAugment, TrivialAugment and AugMix draw for each image what torchvision's classes draw."""

import math

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from tests.trainables.augmentation import references
from tests.trainables.noises import noise, seeded
from trainables.augmentation import random_operations
from trainables.augmentation.operations import NAMES, SIGNED, WITHOUT_IDENTITY

SIZE = (16, 18)
N = 4200
BOUND = 4.5
"""The largest difference of a count from its expectation, in standard deviations. The seeds are fixed."""


def grey_noise(n: int) -> Tensor:
    """Noise without black and white, so that stretching the contrast changes it."""
    return noise(n, 3, *SIZE) * 0.8 + 0.1


def outcomes(image: Tensor, kind: str, names: tuple[str, ...], levels: list[int], n_levels: int) -> dict[str, Tensor]:
    """What torchvision makes of an image by each operation, at each of `levels`, with each sign: (k, pixels)."""
    found = {}
    for name in names:
        signs = (False, True) if name in SIGNED else (False,)
        values = [references.value(kind, name, level, sign, n_levels, SIZE) for sign in signs for level in levels]
        images = [references.operated(image, name, value, "nearest") for value in values]
        found[name] = torch.stack(images).flatten(1)
    return found


def counts_of(images: Tensor, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """How many of the images are each of the expected ones. Each must be one of them."""
    table = torch.cat(list(expected.values()))
    distances = torch.cdist(images.flatten(1), table)
    assert distances.amin(dim=1).max() < 0.05
    counts = torch.bincount(distances.argmin(dim=1), minlength=len(table))
    return dict(zip(expected, counts.split_with_sizes([len(each) for each in expected.values()]), strict=True))


def assert_likely(counts: Tensor, probability: float, n: int) -> None:
    spread = math.sqrt(n * probability * (1 - probability))
    assert (counts - n * probability).abs().max() < BOUND * spread, (counts, n * probability)


def test_rand_augment_draws_every_operation_and_sign_of_torchvision_equally_often() -> None:
    image = grey_noise(1)
    augment = random_operations.rand_augment({"num_ops": 1, "magnitude": 13})
    expected = outcomes(image[0], "RandAugment", NAMES, [13], 31)
    for counts in counts_of(augment(image.expand(N, -1, -1, -1), seeded()), expected).values():
        assert_likely(counts, 1 / len(NAMES) / len(counts), N)


def test_trivial_augment_draws_every_operation_of_torchvision_at_every_magnitude_equally_often() -> None:
    image = grey_noise(1)
    expected = outcomes(image[0], "TrivialAugmentWide", NAMES, list(range(31)), 31)
    found = counts_of(random_operations.trivial_augment(image.expand(N, -1, -1, -1), seeded()), expected)
    for name in ("rotate", "brightness", "color", "contrast", "sharpness"):
        counts = torch.cat([found[name][1:31], found[name][32:]])  # at magnitude 0, the image stays
        assert_likely(counts.sum(), 60 / 62 / len(NAMES), N)
        mean = N / len(NAMES) / 62
        assert ((counts - mean) ** 2 / mean).sum() < chi2.ppf(0.999, 60)
    for name in ("auto_contrast", "equalize"):
        assert_likely(found[name].sum(), 1 / len(NAMES), N)


def test_the_operations_of_rand_augment_come_one_after_another_and_are_drawn_independently() -> None:
    images, num_ops = grey_noise(40), 3
    generator = seeded(4)
    chosen = torch.randint(len(NAMES), (num_ops, 40), generator=generator)
    negative = torch.rand(num_ops, 40, generator=generator) < 0.5
    expected = []
    for i, image in enumerate(images):
        changed = image
        for step in range(num_ops):
            name = NAMES[chosen[step, i]]
            value = references.value("RandAugment", name, 7, bool(negative[step, i]), 31, SIZE)
            changed = references.operated(changed, name, value, "nearest")
        expected.append(changed)
    augmented = random_operations.rand_augment({"num_ops": num_ops, "magnitude": 7})(images, seeded(4))
    # Operations that follow can enlarge a difference, or decide about a value that lies at a threshold.
    off = (augmented - torch.stack(expected)).abs() > 1e-4
    assert off.float().mean() < 2e-3
    assert len(torch.unique(chosen, dim=1).T) > 35


def test_augmix_mixes_chains_of_torchvision_s_operations_by_weights_that_add_up_to_1() -> None:
    images = grey_noise(12)
    config = {"severity": 6, "mixture_width": 2, "augmix_alpha": 0.7}
    generator = seeded(2)
    depths = torch.randint(1, 4, (24,), generator=generator)
    shape = int(depths.max()), 24
    chosen = torch.randint(len(WITHOUT_IDENTITY), shape, generator=generator)
    negative = torch.rand(shape, generator=generator) < 0.5
    levels = torch.randint(6, shape, generator=generator)
    weights = random_operations._draw_weights(12, 2, 0.7, generator)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(12, dtype=torch.float64))
    chains = []
    for i in range(24):
        image = images[i % 12]
        for step in range(depths[i]):
            name = WITHOUT_IDENTITY[chosen[step, i]]
            level, sign = int(levels[step, i]), bool(negative[step, i])
            image = references.operated(
                image, name, references.value("AugMix", name, level, sign, 10, SIZE), "bilinear"
            )
        chains.append(image)
    parts = torch.stack([images, torch.stack(chains[:12]), torch.stack(chains[12:])], dim=1)
    expected = (parts * weights.float().reshape(12, 3, 1, 1, 1)).sum(dim=1)
    off = (random_operations.augmix(config)(images, seeded(2)) - expected).abs() > 1e-4
    assert off.float().mean() < 2e-3


@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])
def test_the_weights_of_augmix_have_the_moments_of_their_distributions(alpha: float) -> None:
    weights = random_operations._draw_weights(N, 3, alpha, seeded())
    of_chains = 1 - weights[:, 0]
    variance = 1 / (4 * (2 * alpha + 1))
    assert of_chains.mean().item() == pytest.approx(0.5, abs=BOUND * math.sqrt(variance / N))
    assert of_chains.var().item() == pytest.approx(variance, rel=0.1)
    shares = weights[:, 1:] / of_chains[:, None]
    variance = (1 / 3) * (2 / 3) / (3 * alpha + 1)
    torch.testing.assert_close(
        shares.mean(dim=0), torch.full((3,), 1 / 3, dtype=torch.float64), atol=BOUND * math.sqrt(variance / N), rtol=0
    )
    torch.testing.assert_close(shares.var(dim=0), torch.full((3,), variance, dtype=torch.float64), atol=0, rtol=0.1)


def test_chains_are_1_to_3_operations_long_unless_their_depth_is_given() -> None:
    """At magnitude 0, 10 of the 13 operations change nothing: only posterize, auto contrast and equalize do."""
    images, unchanged = grey_noise(300), 10 / 13
    for depth, probability in {
        1: unchanged,
        2: unchanged**2,
        4: unchanged**4,
        None: (unchanged + unchanged**2 + unchanged**3) / 3,
    }.items():
        augment = random_operations.augmix({"severity": 1, "mixture_width": 1, "chain_depth": depth})
        differences = (augment(images, seeded()) - images).abs().flatten(1).amax(dim=1)
        assert_likely((differences < 1e-4).sum(), probability, 300)
