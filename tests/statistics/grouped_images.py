"""Simulated images of groups, such as several of one patient: those of one group are easy or hard together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ERROR = 0.2
"""The true error of each trial."""
SHARE = 0.8
"""The share of the spread between images that is one between groups."""


def groups_of(n_groups: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The group of each image, mixed. The groups have `size` images on average, and at least one."""
    sizes = 1 + rng.poisson(size - 1, n_groups)
    return rng.permutation(np.repeat(np.arange(n_groups), sizes))


def errors_of(groups: NDArray[np.int64], n_trials: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Whether each trial misclassifies each image, (n_trials, n_images). Trials differ in what they find hard."""
    n_groups = int(groups.max()) + 1
    of_group = rng.standard_normal((n_trials, n_groups)) + rng.standard_normal((1, n_groups))
    own = rng.standard_normal((n_trials, len(groups)))
    hardness = np.sqrt(SHARE / 2) * of_group[:, groups] + np.sqrt(1 - SHARE) * own
    errors: NDArray[np.float32] = (hardness < stats.norm.ppf(ERROR)).astype(np.float32)
    return errors
