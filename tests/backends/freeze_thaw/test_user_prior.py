"""The user's prior in freeze_thaw: its density, the points that follow it, and the first trials of a search."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.backends import freeze_thaw
from hpo.backends._freeze_thaw.trials import Trials
from hpo.backends._freeze_thaw.user_prior import UserPrior, exponent
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from hpo.space.encoding import Encoding
from hpo.trial import Config
from tests.backends.driving import begin, number
from tests.backends.simulation import play
from tests.space.spaces import FEW, spaces

DOMAINS: dict[str, Domain] = {
    "kind": Categorical(("a", "b", "c"), prior={"b": 6}),
    "x": Float(0, 1, when={"kind": ("a",)}, prior={"centre": 0.2, "width": 0.1}),
    "lr": Float(1e-4, 1, log=True, prior={"centre": 0.01, "width": 3}),
    "n": Int(1, 9),
}
SPACE = SearchSpace("s", DOMAINS, Fidelity(20))


def user_prior(space: SearchSpace) -> tuple[UserPrior, Encoding]:
    encoding = Encoding(space)
    return UserPrior(space, encoding), encoding


@FEW
@given(space=spaces(), seed=st.integers(0, 2**32 - 1))
def test_mapped_points_have_a_finite_density(space: SearchSpace, seed: int) -> None:
    prior, encoding = user_prior(space)
    points = encoding.snap(prior.mapped(np.random.default_rng(seed).random((5, encoding.n_coordinates))))
    assert np.isfinite(prior.log_density(points)).all()


def test_the_density_is_1_on_average_and_6_times_as_high_at_a_choice_of_6_times_the_weight() -> None:
    prior, encoding = user_prior(SPACE)
    rng = random.Random(0)
    points = np.array([encoding.encode(SPACE.sample(rng)) for _ in range(20000)])
    assert np.exp(prior.log_density(points)).mean() == pytest.approx(1, rel=0.05)
    at = [encoding.encode({"kind": kind, "lr": 0.5, "n": 3}) for kind in ("b", "c")]
    b, c = np.exp(prior.log_density(np.array(at)))
    assert b / c == pytest.approx(6)


RANGES: list[Float | Int] = [
    Int(1, 5, prior={"centre": 3, "width": 0.01}),
    Int(1, 5, prior={"centre": 2.5, "width": 0.1}),
    Int(1, 9, log=True, prior={"centre": 2, "width": 1.3}),
    Int(1, 300, log=True, prior={"centre": 300, "width": 2}),
    Float(0, 1, step=0.25, prior={"centre": 0.3, "width": 0.2}),
    Float(0, 1, prior={"centre": 0.3, "width": 0.2}),
    Float(0, 1, step=1e-12, prior={"centre": 0.3, "width": 0.2}),
]


@pytest.mark.parametrize("domain", RANGES)
def test_the_mean_of_the_density_of_a_range_is_1(domain: Float | Int) -> None:
    prior, encoding = user_prior(SearchSpace("one", {"x": domain}, Fidelity(9)))
    uniform = (np.arange(20000)[:, None] + 0.5) / 20000
    assert np.exp(prior.log_density(encoding.snap(uniform))).mean() == pytest.approx(1, rel=2e-3)


def test_a_centre_between_two_whole_numbers_favours_both() -> None:
    prior, encoding = user_prior(SearchSpace("one", {"x": RANGES[1]}, Fidelity(9)))
    density = np.exp(prior.log_density(np.array([encoding.encode({"x": x}) for x in range(1, 6)])))
    assert density == pytest.approx([0.1, 0.1 + 0.9 * 2.5, 0.1 + 0.9 * 2.5, 0.1, 0.1])


@pytest.mark.parametrize("domain", RANGES)
def test_the_slope_of_a_range_is_that_of_its_density(domain: Float | Int) -> None:
    prior, encoding = user_prior(SearchSpace("one", {"x": domain}, Fidelity(9)))
    for x in np.linspace(encoding.low[0] + 1e-3, encoding.high[0] - 1e-3, 7):
        below, above = prior.log_density(np.array([[x - 1e-6], [x + 1e-6]]))
        assert prior.slope(np.array([x]))[0] == pytest.approx((above - below) / 2e-6, rel=1e-3, abs=1e-4)


def test_a_hyperparameter_that_is_not_active_does_not_count() -> None:
    prior, encoding = user_prior(SPACE)
    plain, _ = user_prior(replace(SPACE, domains={**DOMAINS, "x": Float(0, 1, when={"kind": ("a",)})}))
    inactive = encoding.encode({"kind": "b", "lr": 0.5, "n": 3})[None]
    active = encoding.encode({"kind": "a", "x": 0.5, "lr": 0.5, "n": 3})[None]
    assert prior.log_density(inactive) == plain.log_density(inactive)
    assert prior.log_density(active) < plain.log_density(active)


def test_the_slope_is_that_of_the_density() -> None:
    prior, encoding = user_prior(SPACE)
    point = encoding.encode({"kind": "a", "x": 0.35, "lr": 0.002, "n": 3})
    for name in ("x", "lr"):
        step = np.zeros(len(point))
        step[encoding.where[name]] = 1e-6
        below, above = prior.log_density(np.array([point - step, point + step]))
        assert prior.slope(point)[encoding.where[name]] == pytest.approx((above - below) / 2e-6, rel=1e-4)


@FEW
@given(space=spaces(), seed=st.integers(0, 2**32 - 1))
def test_without_a_prior_nothing_is_changed(space: SearchSpace, seed: int) -> None:
    domains = {name: type(each)(**vars(each) | {"prior": None}) for name, each in space.domains.items()}
    prior, encoding = user_prior(replace(space, domains=domains))
    points = np.random.default_rng(seed).random((5, encoding.n_coordinates))
    assert (prior.mapped(points) == points).all()
    assert (prior.log_density(points) == 0).all()
    assert (prior.slope(points[0]) == 0).all()
    assert (prior.centre() == 0.5).all()


def test_the_prior_is_forgotten_as_trials_begin() -> None:
    trials = Trials(20, (3, 20), "val_loss")
    powers = []
    for _ in range(4):
        trials.add({}, np.zeros(0))
        powers.append(exponent(trials))
    assert powers == sorted(powers, reverse=True)
    assert powers[3] == powers[0] / 4


def test_the_first_trial_is_at_the_centre_of_the_prior_and_every_second_of_the_next_ones_follows_it() -> None:
    backend = freeze_thaw.build(SPACE, seed=0)
    first = [begin(backend).config for _ in range(8)]
    assert first[0]["kind"] == "b"
    assert number(first[0], "lr") == pytest.approx(0.01)
    assert first[0]["n"] == 5
    assert all(0.01 / 9 <= number(config, "lr") <= 0.09 for config in first[1::2])
    assert any(not 0.01 / 9 <= number(config, "lr") <= 0.09 for config in first[2::2])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"lr": 0.5}, {"kind": "b", "lr": 0.5, "n": 5}),
        ({"n": 2}, {"kind": "b", "lr": 0.01, "n": 2}),
        ({"kind": "a"}, {"kind": "a", "x": 0.2, "lr": 0.01, "n": 5}),
        ({"kind": "c", "lr": 1.0, "n": 9}, {"kind": "c", "lr": 1.0, "n": 9}),
    ],
)
def test_the_first_trial_takes_the_defaults_and_the_centre_of_what_has_none(given: Config, expected: Config) -> None:
    backend = freeze_thaw.build(SPACE, seed=0)
    assert isinstance(backend, freeze_thaw.FreezeThaw)
    backend.enqueue(given)
    config = begin(backend).config
    assert config == {name: pytest.approx(value) for name, value in expected.items()}


def test_a_given_configuration_enters_the_model() -> None:
    """Its neighbours are tried soon, because it is far better than all others."""
    space = SearchSpace("two", {"x": Float(0, 1), "y": Float(0, 1)}, Fidelity(9))
    backend = freeze_thaw.build(space, seed=0)
    assert isinstance(backend, freeze_thaw.FreezeThaw)
    backend.enqueue({"x": 0.83, "y": 0.07})

    def loss(config: Config, epoch: int) -> float:
        distance = (number(config, "x") - 0.83) ** 2 + (number(config, "y") - 0.07) ** 2
        return 0.1 + 1 - float(np.exp(-20 * distance)) + 0.1 / epoch

    played = play(backend, space, trials=14, slots=1, loss=loss)
    later = [trial.config for trial_number, trial in played.trials.items() if trial_number >= 8]
    assert played.trials[0].config == {"x": 0.83, "y": 0.07}
    assert any(abs(number(each, "x") - 0.83) < 0.15 and abs(number(each, "y") - 0.07) < 0.15 for each in later)


def test_a_good_prior_finds_a_narrow_minimum_sooner_and_a_wrong_one_is_overcome() -> None:
    plain: dict[str, Domain] = {name: Float(0, 1) for name in ("x", "y", "z")}

    def loss(config: Config, epoch: int) -> float:
        return 0.1 + sum((number(config, name) - 0.77) ** 2 for name in plain) + 0.2 / epoch

    def lowest(centre: float | None, trials: int) -> float:
        prior = None if centre is None else {"centre": centre, "width": 0.1}
        space = SearchSpace("cube", {name: Float(0, 1, prior=prior) for name in plain}, Fidelity(9))
        played = play(freeze_thaw.build(space, seed=0), space, trials=trials, slots=1, loss=loss)
        return min(loss(trial.config, 9) for trial in played.trials.values()) - 0.1 - 0.2 / 9

    assert lowest(0.8, 6) < lowest(None, 6)
    assert lowest(0.1, 3) > lowest(0.8, 3)
    assert lowest(0.1, 25) < lowest(0.1, 3)
