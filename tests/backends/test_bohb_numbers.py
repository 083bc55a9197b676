"""The numbers of the BOHB backend are those of the libraries that it replaces, to the last digit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from statsmodels.nonparametric.kernels import aitchison_aitken, gaussian

from hpo.backends._hpbandster import _Density
from hpo.backends._truncated_normal import SeededTruncatedNormal


@pytest.mark.parametrize("width", [1e-3, 3e-3, 0.05, 0.4, 3.0, 200.0])
def test_truncated_normal_numbers_are_those_of_scipy(width: float) -> None:
    ours, theirs = (np.random.RandomState(1) for _ in range(2))
    truncated = SeededTruncatedNormal(stats, ours)
    for middle in (0.0, 1e-9, 0.2, 0.5, 0.97, 1.0):
        for _ in range(40):
            a, b = -middle / width, (1 - middle) / width
            expected = stats.truncnorm.rvs(a, b, loc=middle, scale=width, random_state=theirs)
            assert truncated.rvs(a, b, loc=middle, scale=width) == expected


def test_a_truncated_normal_without_room_is_an_error_as_in_scipy() -> None:
    with pytest.raises(ValueError, match="Domain error"):
        SeededTruncatedNormal(stats, np.random.RandomState(0)).rvs(0.0, 0.0, loc=0.5, scale=np.inf)


@pytest.mark.parametrize("n_levels", [[0], [3], [1], [0, 0, 0], [0, 4, 0, 1, 2, 0]])
def test_densities_are_the_products_of_the_kernels_of_statsmodels(n_levels: list[int]) -> None:
    rng = np.random.default_rng(0)
    levels = np.array(n_levels)
    for n in (1, 7, 40, 333):
        draw = np.array([rng.random(n) if level == 0 else rng.integers(level, size=n) for level in n_levels])
        widths = np.array([rng.uniform(1e-3, 0.6) for _ in n_levels])
        density = _Density(SimpleNamespace(data=draw.T.copy(), bw=widths), levels)
        for _ in range(20):
            vector = [rng.random() if level == 0 else int(rng.integers(level)) for level in n_levels]
            kernels = [
                aitchison_aitken(width, column, value, level) if level else gaussian(width, column, value) / width
                for width, column, value, level in zip(density.bw, density.data.T, vector, levels, strict=True)
                if level != 1
            ]
            assert density.pdf(vector) == float(np.mean(np.prod(kernels, axis=0)))
