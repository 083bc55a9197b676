"""What freeze_thaw learns from an earlier study: where it begins, how much it counts, and what a wrong one does."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pytest

from hpo.backends import freeze_thaw
from hpo.backends._backend import Backend, LearnsFromEarlier, TakesConfigurations
from hpo.backends._freeze_thaw.model import Model, Snapshot
from hpo.backends._freeze_thaw.transfer import DIFFERENT, SourceModel
from hpo.backends._freeze_thaw.trials import Row, Trials
from hpo.space import Categorical, Domain, Fidelity, Float, SearchSpace
from hpo.space.encoding import Encoding
from hpo.trial import Config, EarlierStudy, EarlierTrial, Suggestion
from tests.backends.contract import BackendContract, Build
from tests.backends.driving import begin, number, report
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


@pytest.mark.slow
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


@pytest.mark.slow
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
