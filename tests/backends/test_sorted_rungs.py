from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.backends._sorted_rungs import SortedResults, with_sorted_rungs
from hpo.backends._stopping import WORST_LOSS

RESULTS = st.lists(st.floats(-WORST_LOSS, WORST_LOSS), min_size=1, max_size=50)


@given(RESULTS, st.sampled_from([2, 3, 4, 5, 7]))
def test_the_cutoff_is_that_of_numpy_to_the_last_bit(results: list[float], eta: int) -> None:
    sorted_results, percent = SortedResults(), (1 - 1 / eta) * 100
    for trial, result in enumerate(results):
        sorted_results[str(trial)] = result
    assert len(sorted_results) == len(results)
    with np.errstate(over="ignore"):
        assert sorted_results.percentile(percent) == np.nanpercentile(results, percent)


@pytest.mark.parametrize("eta", [2, 3])
def test_a_bracket_decides_as_that_of_ray(eta: int) -> None:
    from ray.tune.schedulers.async_hyperband import _Bracket

    rng = random.Random(eta)
    theirs, ours = _Bracket(1, 40, eta, 0), with_sorted_rungs(_Bracket)(1, 40, eta, 0)
    decisions = []
    for _ in range(2_000):
        trial, step, result = SimpleNamespace(trial_id=str(rng.randrange(700))), rng.randrange(1, 40), -rng.random()
        decisions.append(theirs.on_result(trial, step, result))
        assert ours.on_result(trial, step, result) == decisions[-1]
    assert len(set(decisions)) == 2
