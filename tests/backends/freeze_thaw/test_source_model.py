"""The prediction of an earlier study, its weight, and its gradient."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from hpo.backends._freeze_thaw.posterior import Posterior
from hpo.backends._freeze_thaw.transfer import WeightedMean, weight
from tests.backends.freeze_thaw.data import D, random_rows
from tests.backends.freeze_thaw.test_posterior import factor_of
from tests.backends.freeze_thaw.test_transfer import PLANE, bowl, model, study


def test_the_prediction_of_the_source_orders_configurations_as_the_earlier_study_does_in_standard_units() -> None:
    source, encoding = model(study())
    rng = random.Random(1)
    configs = [PLANE.sample(rng) for _ in range(200)]
    found = source.at(np.array([encoding.encode(config) for config in configs]))
    truth = np.array([bowl(config, 27) for config in configs])
    assert np.corrcoef(np.argsort(np.argsort(found)), np.argsort(np.argsort(truth)))[0, 1] > 0.9
    assert found.std() == pytest.approx(1, abs=0.2)


def test_the_gradient_of_the_prediction_agrees_with_finite_differences() -> None:
    source, encoding = model(replace(study(), hyperparameters=("x", "kind")))
    point = encoding.encode({"x": 0.3, "y": 0.6, "kind": "a"})
    value, slope = source.gradient(point)
    assert value == pytest.approx(source.at(point[None])[0])
    assert np.allclose(slope, approx_fprime(point, lambda at: source.gradient(at)[0], 1e-7), atol=1e-4)
    assert slope[encoding.where["y"]] == 0


def test_a_hyperparameter_that_the_earlier_study_did_not_search_changes_nothing_in_its_prediction() -> None:
    known = study()
    trials = tuple(replace(t, config={"x": t.config["x"], "kind": t.config["kind"]}) for t in known.trials)
    source, encoding = model(replace(known, hyperparameters=("x", "kind"), trials=trials))
    low, high = (encoding.encode({"x": 0.3, "y": y, "kind": "a"}) for y in (0.0, 1.0))
    a, b = source.at(np.array([low, high]))
    assert a == b


@pytest.mark.parametrize("true", [0.0, 0.7, -0.7])
def test_the_weight_is_that_of_the_predictions_in_the_values_and_never_negative(true: float) -> None:
    rows = random_rows(0, n_trials=20)
    rng = np.random.default_rng(0)
    predictions = rng.standard_normal(20)[rows.trials]
    noise = 0.01 * rng.standard_normal(len(predictions))
    assert weight(factor_of(rows, 0, 80), true * predictions + noise, predictions) == pytest.approx(
        max(true, 0), abs=0.1
    )


def test_without_any_row_the_weight_is_0() -> None:
    rows = random_rows(0)
    assert weight(factor_of(rows, 0), np.zeros(0), np.zeros(0)) == 0


def test_a_posterior_with_a_trend_is_that_of_the_rest_plus_the_trend() -> None:
    rows, rng = random_rows(0), np.random.default_rng(0)
    points = rng.random((6, 4))
    factor = factor_of(rows._replace(points=points[:, :D]), 0, 24)
    values, trend = rng.standard_normal(24), _FirstColumn()
    known = Posterior(factor, values, trend)
    rest = Posterior(factor, values - trend.at(factor.rows.points)[factor.rows.trials])
    ask = rng.random((5, D))
    assert np.allclose(known.mean(ask), rest.mean(ask) + trend.at(ask))
    assert np.allclose(known.predict(ask)[1], rest.predict(ask)[1])
    mean, _, of_mean, _ = known.gradient(ask[0])
    assert mean == pytest.approx(known.mean(ask)[0])
    assert np.allclose(of_mean, approx_fprime(ask[0], lambda at: known.gradient(at)[0], 1e-7), atol=1e-5)


def test_a_weighted_mean_is_the_weight_times_the_prediction_of_the_source_and_so_is_its_gradient() -> None:
    source, encoding = model(study())
    mean, points = WeightedMean(source, 0.5), np.random.default_rng(0).random((6, encoding.n_coordinates))
    assert np.allclose(mean.at(points), 0.5 * source.at(points))
    value, slope = mean.gradient(points[0])
    assert value == pytest.approx(mean.at(points)[0])
    assert np.allclose(slope, approx_fprime(points[0], lambda at: mean.gradient(at)[0], 1e-7), atol=1e-4)


class _FirstColumn:
    """A trend: three times the first coordinate."""

    def at(self, points: np.ndarray) -> np.ndarray:
        return 3 * points[:, 0]

    def gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        return 3 * float(point[0]), np.array([3.0, 0.0, 0.0])
