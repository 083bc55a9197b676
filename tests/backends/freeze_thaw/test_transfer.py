"""What freeze_thaw learns from an earlier study: where it begins, how much it counts, and what a wrong one does."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from hpo.backends import freeze_thaw
from hpo.backends._backend import Backend, LearnsFromEarlier, TakesConfigurations
from hpo.backends._freeze_thaw.model import Model, Snapshot
from hpo.backends._freeze_thaw.posterior import Posterior
from hpo.backends._freeze_thaw.transfer import DIFFERENT, SourceModel, WeightedMean, weight
from hpo.backends._freeze_thaw.trials import Row, Trials
from hpo.space import Categorical, Domain, Fidelity, Float, SearchSpace
from hpo.space.encoding import Encoding
from hpo.trial import Config, EarlierStudy, EarlierTrial, Suggestion
from tests.backends.contract import BackendContract, Build
from tests.backends.driving import begin, number, report
from tests.backends.freeze_thaw.data import D, random_rows
from tests.backends.freeze_thaw.test_posterior import factor_of
from tests.backends.simulation import any_loss, play

DOMAINS: dict[str, Domain] = {"x": Float(0, 1), "y": Float(0, 1), "kind": Categorical(("a", "b"))}
PLANE = SearchSpace("plane", DOMAINS, Fidelity(27))
Loss = Callable[[Config, int], float]


def bowl(config: Config, epoch: int) -> float:
    """A loss with its minimum at x = 0.85, y = 0.15, kind = a."""
    far = (number(config, "x") - 0.85) ** 2 + (number(config, "y") - 0.15) ** 2 + 0.1 * (config["kind"] == "b")
    return 0.1 + far + 0.5 / epoch


def inverted(config: Config, epoch: int) -> float:
    """A loss that orders all configurations the other way round."""
    return 1 / bowl(config, epoch)


def study(space: SearchSpace = PLANE, loss: Loss = bowl, n: int = 30) -> EarlierStudy:
    """Random configurations with all their values."""
    rng, high = random.Random(0), space.fidelity.high
    configs = [space.sample(rng) for _ in range(n)]
    trials = [EarlierTrial(each, {epoch: loss(each, epoch) for epoch in range(1, high + 1)}) for each in configs]
    return EarlierStudy("earlier", tuple(space.domains), high, tuple(trials))


def learning(space: SearchSpace, earlier: EarlierStudy, seed: int = 0) -> Backend:
    backend = freeze_thaw.build(space, seed=seed)
    assert isinstance(backend, LearnsFromEarlier)
    backend.learn(earlier)
    return backend


class TestLearningFreezeThaw(BackendContract):
    n_trials = 12

    @pytest.fixture
    def build(self) -> Build:
        # Whether a late trial trains to the end in one test of the contract depends on random losses, and so on the
        # seed. The backend without an earlier study needs a suitable one too.
        return lambda space, seed: learning(space, study(space, any_loss, n=6), seed + 1)

    def epochs(self, fidelity: Fidelity) -> Collection[int]:
        return range(fidelity.low, fidelity.high + 1)


def model(earlier: EarlierStudy, space: SearchSpace = PLANE) -> tuple[SourceModel, Encoding]:
    encoding = Encoding(space)
    return SourceModel(encoding, earlier, np.full(encoding.n_coordinates, 0.5)), encoding


def train_first_step(backend: Backend, answer: Suggestion, loss: Loss = bowl) -> None:
    for epoch in range(1, answer.until + 1):
        backend.tell(report(answer, loss(answer.config, epoch), at=epoch))


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


def test_three_trials_beside_the_first_are_the_best_of_the_earlier_study_that_differ() -> None:
    backend, encoding = learning(PLANE, study()), Encoding(PLANE)
    first = [begin(backend) for _ in range(11)]
    found = [each for each in first if each.notes["reason"] == "earlier study"]
    assert [each.trial for each in found] == [2, 4, 6]
    known = [trial.config for trial in study().trials]
    assert all(each.config in known for each in found)
    points = [encoding.encode(each.config) for each in found]
    assert min(np.abs(points[i] - points[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) >= DIFFERENT
    better = sorted(bowl(config, 27) for config in known)
    assert all(bowl(each.config, 27) <= better[9] for each in found)
    plain = freeze_thaw.build(PLANE, seed=0)
    assert [each.config for each in first if each not in found] == [begin(plain).config for _ in range(8)]


def test_no_further_one_is_taken_while_those_before_are_worse_than_the_others() -> None:
    backend, reasons = learning(PLANE, study(loss=inverted)), []
    for _ in range(9):
        answer = begin(backend)
        reasons.append(answer.notes["reason"])
        train_first_step(backend, answer)
    assert reasons == ["space-filling"] * 2 + ["earlier study"] + ["space-filling"] * 6


def taken(backend: Backend) -> list[Config]:
    """What is taken from the earlier study out of eleven trials, none of which has a value yet."""
    first = [begin(backend) for _ in range(11)]
    return [each.config for each in first if each.notes["reason"] == "earlier study"]


def test_what_was_tried_already_is_not_taken_from_the_earlier_study() -> None:
    best = taken(learning(PLANE, study()))
    two_tried, all_tried = learning(PLANE, study()), learning(PLANE, study())
    assert isinstance(two_tried, TakesConfigurations)
    assert isinstance(all_tried, TakesConfigurations)
    for config in best[:2]:
        two_tried.enqueue({**config, "x": number(config, "x") + 1e-12})
    assert taken(two_tried) == best[2:]
    for config in best:
        all_tried.enqueue(config)
    assert taken(all_tried) == []


@pytest.mark.parametrize(
    ("y", "kind", "expected"),
    [
        (Float(0, 1), Categorical(("b", "a")), (0.5, "b")),
        (Float(0, 1, default=0.9), Categorical(("b", "a"), default="a"), (0.9, "a")),
        (Float(0, 1, prior={"centre": 0.2, "width": 0.1}), Categorical(("b", "a"), prior={"a": 3}), (0.2, "a")),
        (Float(0, 1, default=0.9, prior={"centre": 0.2, "width": 0.1}), Categorical(("b", "a")), (0.9, "b")),
    ],
)
def test_what_the_earlier_study_did_not_search_is_as_in_the_defaults_or_else_the_prior(
    y: Domain, kind: Domain, expected: tuple[float, str]
) -> None:
    known = study()
    trials = tuple(replace(trial, config={"x": trial.config["x"]}) for trial in known.trials)
    space = SearchSpace("plane", {"x": Float(0, 1), "y": y, "kind": kind}, Fidelity(27))
    backend = learning(space, replace(known, hyperparameters=("x",), trials=trials))
    found = taken(backend)
    assert len(found) == 3
    assert {config["kind"] for config in found} == {expected[1]}
    assert [config["y"] for config in found] == pytest.approx([expected[0]] * 3)


def test_a_value_that_is_active_in_this_space_only_has_its_default() -> None:
    kind, momentum = Categorical(("sgd", "adam")), Float(0, 1, default=0.9)
    space = SearchSpace("now", {"x": Float(0, 1), "kind": kind, "m": momentum}, Fidelity(27))
    rng = random.Random(0)
    configs: list[Config] = [{"x": rng.random(), "kind": "adam"} for _ in range(20)]
    trials = tuple(EarlierTrial(config, {27: 0.1 + number(config, "x")}) for config in configs)
    backend = learning(space, EarlierStudy("earlier", ("x", "kind", "m"), 27, trials))
    found = taken(backend)
    assert found
    assert {config["kind"] for config in found} == {"adam"}
    assert [config["m"] for config in found] == pytest.approx([0.9] * len(found))


def test_trials_of_the_earlier_study_are_not_among_those_that_are_spread_over_the_space() -> None:
    trials = Trials(27, (3, 27), "val_loss")
    for n in range(11):
        trials.add({}, np.zeros(1))
        trials.start(n, 3, "earlier study" if n in (2, 4, 6) else "space-filling")
    assert trials.spread(8) == [0, 1, 3, 5, 7, 8, 9, 10]
    assert trials.spread(20) == [0, 1, 3, 5, 7, 8, 9, 10]


def best_after(backend: Backend, seed: int, trials: int) -> float:
    played = play(backend, PLANE, trials=trials, slots=1, loss=bowl, seed=seed)
    return min(bowl(trial.config, 27) for trial in played.trials.values())


def test_a_good_earlier_study_helps_at_once_and_a_wrong_one_does_no_harm_in_the_end() -> None:
    seeds = range(4)
    plain = [best_after(freeze_thaw.build(PLANE, seed=seed), seed, 6) for seed in seeds]
    helped = [best_after(learning(PLANE, study(), seed), seed, 6) for seed in seeds]
    assert np.mean(helped) < np.mean(plain)
    plain = [best_after(freeze_thaw.build(PLANE, seed=seed), seed, 16) for seed in seeds]
    harmed = [best_after(learning(PLANE, study(loss=inverted), seed), seed, 16) for seed in seeds]
    assert np.mean(harmed) < np.mean(plain) + 0.01


def test_a_source_in_the_wrong_order_has_no_weight_once_there_are_trials() -> None:
    right, encoding = model(study())
    wrong, _ = model(study(loss=inverted))
    trials, rng = Trials(27, (3, 5, 8, 13, 21, 27), "val_loss"), random.Random(3)
    for n in range(8):
        config = PLANE.sample(rng)
        trials.add(config, encoding.encode(config))
        trials[n].values.update({epoch: bowl(config, epoch) for epoch in (3, 5)})
        trials.rows.extend(Row(n, epoch, bowl(config, epoch)) for epoch in (3, 5))
    snapshot, plain = Snapshot(16, 0), Model(encoding, 27)
    points = encoding.snap(np.random.default_rng(0).random((50, encoding.n_coordinates)))
    expected = {}
    for name, earlier in (("right", right), ("wrong", wrong)):
        prediction = Model(encoding, 27, earlier).predict(trials, snapshot, 0)
        assert prediction is not None
        expected[name] = prediction.posterior.mean(points)
    without = plain.predict(trials, snapshot, 0)
    assert without is not None
    assert np.allclose(expected["wrong"], without.posterior.mean(points))
    assert not np.allclose(expected["right"], without.posterior.mean(points), atol=0.05)


@pytest.mark.parametrize(
    "values",
    [{1: 0.5}, {27: 0.0}, {3: math.nan, 4: 0.5}, {3: 0.5, 27: math.inf}, {5: -1.0}, {27: 1e300}, {1: 0.5, 2: math.nan}],
)
@pytest.mark.parametrize("n", [1, 3])
def test_few_and_odd_values_are_no_error(values: dict[int, float], n: int) -> None:
    rng = random.Random(0)
    trials = tuple(EarlierTrial(PLANE.sample(rng), values) for _ in range(n))
    earlier = EarlierStudy("earlier", ("x", "kind"), 27, trials)
    assert len(play(learning(PLANE, earlier), PLANE, trials=13, slots=1, loss=bowl).trials) == 13


@pytest.mark.parametrize("high", [1, 2, 300])
def test_an_earlier_study_may_have_other_epochs(high: int) -> None:
    earlier = study(replace(PLANE, fidelity=Fidelity(high)), n=20)
    found = [bowl(config, 27) for config in taken(learning(PLANE, earlier))]
    assert len(found) == 3
    assert max(found) <= sorted(bowl(trial.config, 27) for trial in earlier.trials)[9]


def test_a_large_earlier_study_is_thinned() -> None:
    source, encoding = model(study(n=120))
    good, bad = (encoding.encode({"x": x, "y": 0.15, "kind": "a"}) for x in (0.85, 0.0))
    a, b = source.at(np.array([good, bad]))
    assert a < b
