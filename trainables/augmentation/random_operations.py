"""RandAugment, TrivialAugment Wide and AugMix: random operations, drawn for each image by itself.

The operations, their magnitudes and how they sample are those of torchvision's classes. All numbers are drawn from the
CPU generator, one batch at a time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainables.augmentation import operations
from trainables.augmentation.interface import Recipe
from trainables.augmentation.operations import Strengths
from trainables.errors import WrongValue
from trainables.hyperparameters import ABOVE_0, Config, read_float, read_int, read_optional_int

HYPERPARAMETERS = {
    "num_ops": "rand_augment: operations for each image, one after another, a whole number of at least 0; default 2",
    "magnitude": "rand_augment: how strong the operations are, a whole number of 0 to 30; default 9",
    "severity": "augmix: how strong the operations are at most, a whole number of 1 to 10; default 3",
    "mixture_width": "augmix: chains of operations that are mixed, a whole number of at least 1; default 3",
    "chain_depth": "augmix: operations in a chain, a whole number of at least 1; default 1 to 3 at random",
    "augmix_alpha": "augmix: alpha of the Dirichlet and Beta distributions of the weights, above 0; default 1",
}
RANGES = {
    "num_ops": "int >= 0",
    "magnitude": "0 <= int <= 30",
    "severity": "1 <= int <= 10",
    "mixture_width": "int >= 1",
    "chain_depth": "int >= 1",
    "augmix_alpha": "float > 0",
}
WHEN = {
    "num_ops": {"augmentation": ["rand_augment"]},
    "magnitude": {"augmentation": ["rand_augment"]},
    "severity": {"augmentation": ["augmix"]},
    "mixture_width": {"augmentation": ["augmix"]},
    "chain_depth": {"augmentation": ["augmix"]},
    "augmix_alpha": {"augmentation": ["augmix"]},
}
N_MAGNITUDES = 31
"""The magnitudes of RandAugment and TrivialAugment are 0 to 30."""
N_SEVERITIES = 10
LARGEST_RANDOM_DEPTH = 3


def rand_augment(config: Config) -> Recipe:
    """Return RandAugment (Cubuk et al. 2019, arXiv 1909.13719). A WrongValue if a value is not allowed.

    Each image gets `num_ops` random operations of `magnitude`. An operation can be drawn more than once.
    """
    num_ops = read_int(config, "num_ops", 2, least=0)
    magnitude = _read_up_to(config, "magnitude", 9, least=0, most=N_MAGNITUDES - 1)

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[2:]
        # Images of 331 pixels are moved by at most 150 pixels, others in proportion.
        strengths = Strengths(0.3, 150 / 331 * width, 150 / 331 * height, 30.0, 0.9, (8, 4))
        chosen, negative = _draw(operations.NAMES, (num_ops, len(images)), generator)
        levels = torch.full_like(chosen, magnitude)
        values = operations.values(operations.NAMES, strengths, chosen, levels, negative, n_levels=N_MAGNITUDES)
        augmented = images.clone()
        for of_step, value in zip(chosen, values, strict=True):
            operations.apply_in_place(augmented, operations.NAMES, of_step, value, mode="nearest")
        return augmented

    return augment


def trivial_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Apply TrivialAugment Wide (Mueller, Hutter 2021, arXiv 2103.10158): a Recipe without settings.

    Each image gets one random operation of a random magnitude.
    """
    strengths = Strengths(0.99, 32.0, 32.0, 135.0, 0.99, (8, 2))
    chosen, negative = _draw(operations.NAMES, (len(images),), generator)
    levels = torch.randint(N_MAGNITUDES, chosen.shape, generator=generator)
    values = operations.values(operations.NAMES, strengths, chosen, levels, negative, n_levels=N_MAGNITUDES)
    augmented = images.clone()
    operations.apply_in_place(augmented, operations.NAMES, chosen, values, mode="nearest")
    return augmented


def augmix(config: Config) -> Recipe:
    """Return AugMix (Hendrycks et al. 2019, arXiv 1912.02781). A WrongValue if a value is not allowed.

    Each image becomes a weighted mean of itself and of `mixture_width` chains. A chain is the image after random
    operations, each of a random magnitude below `severity`. The loss of the paper, which compares the predictions for
    several such images, is no part of it.
    """
    severity = _read_up_to(config, "severity", 3, least=1, most=N_SEVERITIES)
    mixture_width, depth = read_int(config, "mixture_width", 3), read_optional_int(config, "chain_depth")
    alpha = read_float(config, "augmix_alpha", 1.0, ABOVE_0)

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        chains = images.repeat(mixture_width, 1, 1, 1)
        depths = torch.randint(1, LARGEST_RANDOM_DEPTH + 1, (len(chains),), generator=generator)
        if depth is not None:
            depths = torch.full_like(depths, depth)
        _run_chains(chains, depths, severity, generator)
        weights = _draw_weights(len(images), mixture_width, alpha, generator).to(images)
        mixed = images * weights[:, 0].reshape(-1, 1, 1, 1)
        for i, chain in enumerate(chains.chunk(mixture_width), start=1):
            mixed.addcmul_(chain, weights[:, i].reshape(-1, 1, 1, 1))
        return mixed.clamp_(0, 1)  # rounding can give values just above 1

    return augment


def _run_chains(chains: Tensor, depths: Tensor, severity: int, generator: torch.Generator) -> None:
    """Apply to each image its number of random operations of AugMix. The images are overwritten."""
    height, width = chains.shape[2:]
    names = operations.WITHOUT_IDENTITY
    strengths = Strengths(0.3, width / 3, height / 3, 30.0, 0.9, (4, 0))
    shape = (int(depths.max()), len(chains))
    chosen, negative = _draw(names, shape, generator)
    levels = torch.randint(severity, shape, generator=generator)
    values = operations.values(names, strengths, chosen, levels, negative, n_levels=N_SEVERITIES)
    for step, (of_step, value) in enumerate(zip(chosen, values, strict=True)):
        goes_on = depths > step
        rows = goes_on.nonzero()[:, 0]
        on_device = rows.to(chains.device)
        part = chains[on_device]
        operations.apply_in_place(part, names, of_step[rows], value[rows], mode="bilinear")
        chains[on_device] = part


def _read_up_to(config: Config, key: str, default: int, *, least: int, most: int) -> int:
    """Return the whole number at `key`. A WrongValue if it is not one from `least` to `most`."""
    value = read_int(config, key, default, least=least)
    if value > most:
        raise WrongValue(f"`{key}` must be a whole number of at least {least} and at most {most}, but is {value!r}")
    return value


def _draw(names: tuple[str, ...], shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw operations, as indices into `names`, int64, and whether their values are negative, bool, of `shape`."""
    return torch.randint(len(names), shape, generator=generator), torch.rand(shape, generator=generator) < 0.5


def _draw_weights(n: int, mixture_width: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Draw the weights of each image and its chains, float64 (n, 1 + mixture_width). They add up to 1."""
    # torch cannot draw from a Dirichlet distribution with a given generator. NumPy can, so torch's generator seeds it.
    numbers = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    of_chains = numbers.beta(alpha, alpha, (n, 1))
    shares = numbers.dirichlet([alpha] * mixture_width, n)
    return torch.from_numpy(np.concatenate([1 - of_chains, of_chains * shares], axis=1))
