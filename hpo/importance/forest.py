"""A random forest, and how well it predicts trials that it has not seen. Only this file imports scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import UserError

N_TREES = 200
"""The trees of the forest whose fit is checked."""
N_SMALL = 12
"""The trees of each forest on resampled trials."""
LEAF = 2
"""The least number of trials in a leaf."""


def check_installed() -> None:
    """Raise a UserError if scikit-learn is not installed."""
    try:
        import sklearn.ensemble  # noqa: F401
    except ImportError:
        raise UserError("importance needs scikit-learn, which is not installed: pip install 'hpo[train]'") from None


def out_of_bag(rows: NDArray[np.float64], values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The prediction for each row by the trees that were not fitted to it, (n,)."""
    import warnings

    with warnings.catch_warnings():
        # A row that every tree has seen has no such prediction; with 200 trees this does not happen in practice.
        warnings.filterwarnings("ignore", "Some inputs do not have OOB scores", UserWarning)
        model = _forest(N_TREES, seed, oob_score=True).fit(rows, values)
    return np.asarray(model.oob_prediction_, dtype=float)


def fitted(rows: NDArray[np.float64], values: NDArray[np.float64], seed: int) -> Any:
    """A small forest in which each tree is fitted to all rows, because the caller has resampled them."""
    return _forest(N_SMALL, seed, bootstrap=False).fit(rows, values)


def _forest(n_trees: int, seed: int, **options: bool) -> Any:
    """An untrained forest. Each split looks at most of the columns, because there are few, and many may say nothing."""
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(n_trees, min_samples_leaf=LEAF, max_features=0.7, random_state=seed, **options)
