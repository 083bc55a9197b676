"""Random observations for tests of the model."""

from __future__ import annotations

import numpy as np

from hpo.backends._freeze_thaw.kernel import Rows, prior
from hpo.space.encoding import FloatArray

D = 3


def random_rows(seed: int, n_trials: int = 6, n_epochs: int = 4) -> Rows:
    """Some epochs of each of some trials, in mixed order."""
    rng = np.random.default_rng(seed)
    trials = rng.permutation(np.repeat(np.arange(n_trials), n_epochs))
    return Rows(rng.random((n_trials, D)), trials, rng.random(len(trials)))


def random_theta(seed: int) -> FloatArray:
    """Parameters near the mean of their prior."""
    believed = prior(D, D)
    theta: FloatArray = believed.mean + 0.3 * np.random.default_rng(seed).standard_normal(2 * D + 5)
    return theta
