from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from hpo.importance.comparable import comparable
from hpo.record import History
from hpo.trial import Report, Suggestion


def history(*curves: Sequence[float], last: Sequence[int] = ()) -> History:
    """Trials with these losses. Those in `last` ended themselves."""
    history = History(9)
    for trial, curve in enumerate(curves):
        history.append(Suggestion(trial, {}, until=9))
        for epoch, loss in enumerate(curve, start=1):
            ends = trial in last and epoch == len(curve)
            history.append(Report(trial, epoch, min(curve[:epoch]), {"val_loss": loss}, 1.0, ends))
    return history


def test_a_stopped_trial_is_carried_by_the_median_progress_of_the_others() -> None:
    long = [[3.0 + i, 2.0 + i, 1.8 + i] for i in range(5)]
    found = comparable(history(*long, [4.0]))
    assert found is not None
    assert (found.epoch, found.n_carried) == (3, 1)
    assert found.values[-1] == pytest.approx(4.0 - 1.0 - 0.2)
    assert found.values[:5] == pytest.approx([1.8, 2.8, 3.8, 4.8, 5.8])


def test_a_trial_counts_with_its_best_value_so_far() -> None:
    found = comparable(history(*[[2.0 + i, 1.0 + i, 5.0] for i in range(5)]))
    assert found is not None
    assert found.values == pytest.approx([1, 2, 3, 4, 5])


def test_a_trial_that_ended_itself_is_not_carried() -> None:
    long = [[3.0 + i, 2.0 + i, 1.0 + i] for i in range(5)]
    found = comparable(history(*long, [4.0], last=[5]))
    assert found is not None
    assert found.n_carried == 0
    assert found.values[-1] == 4.0


def test_a_diverged_trial_counts_as_a_bad_one() -> None:
    found = comparable(history(*[[1.0 + 0.1 * i] for i in range(8)], [math.nan], [1e9]))
    assert found is not None
    assert found.n_clipped == 2
    assert np.isfinite(found.values).all()
    assert found.values[-1] == found.values[-2] > found.values[:8].max()


def test_values_over_a_wide_range_are_compared_by_their_logarithm() -> None:
    found = comparable(history(*[[10.0**-i] for i in range(6)]))
    assert found is not None
    assert found.is_log
    assert found.values == pytest.approx([-i * math.log(10) for i in range(6)])


def test_trials_without_a_finite_value_at_an_epoch_that_all_reached_cannot_be_compared() -> None:
    assert comparable(history([math.nan, 1.0], [math.nan])) is None


def test_trials_without_a_finite_value_cannot_be_compared() -> None:
    assert comparable(history([math.nan], [math.inf])) is None
    assert comparable(history()) is None
