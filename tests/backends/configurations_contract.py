"""What every backend of hpo keeps about configurations: the given ones come first, and none comes twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hpo.backends._backend import Backend, TakesConfigurations
from hpo.space import Categorical, Fidelity, Float, Int, SearchSpace
from hpo.trial import Config, Suggestion
from tests.backends.contract import SPACE
from tests.backends.driving import begin
from tests.backends.fates import MIXED
from tests.backends.simulation import Asked, Play, play, replay

Build = Callable[[SearchSpace, int], Backend]

FINITE = SearchSpace(
    "finite",
    {
        "optimizer": Categorical(("sgd", "adam")),
        "momentum": Float(0.0, 0.9, step=0.3, when={"optimizer": ("sgd",)}),
        "widths": Categorical(((64, 64), (128,), None)),
        "same": Float(0.25, 0.25, points=1),
    },
    Fidelity(9),
)
"""(4 + 1) * 3 configurations."""

GIVEN: Mapping[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.012,
    "momentum": 0.77,
    "nesterov": None,
    "dampening": 0.125,
    "batch_size": 32,
    "step_size": 17,
    "width": 100,
    "same": 0.25,
}


def build_with(build: Build, space: SearchSpace, *configs: Config) -> Backend:
    """A backend with queued configurations."""
    backend = build(space, 3)
    assert isinstance(backend, TakesConfigurations)
    for config in configs:
        backend.enqueue(config)
    return backend


def configs_of(played: Play) -> list[str]:
    return [repr(suggestion.config) for suggestion in played.first()]


class ConfigurationsContract:
    """Subclass it beside BackendContract."""

    @pytest.fixture
    def build(self) -> Build:
        raise NotImplementedError("a subclass gives `build`: (space, seed) -> Backend")

    def test_queued_configurations_are_the_first_trials_value_for_value(self, build: Build) -> None:
        other: Mapping[str, Any] = {
            "optimizer": "adam",
            "lr": 1e-5,
            "batch_size": 64,
            "step_size": 30,
            "width": 512,
            "same": 0.25,
        }
        backend = build_with(build, SPACE, GIVEN, other)
        assert [repr(begin(backend).config) for _ in range(2)] == [repr(GIVEN), repr(other)]
        third = begin(backend).config
        assert third not in (GIVEN, other)

    def test_a_backend_chooses_what_a_queued_configuration_lacks_and_drops_what_is_not_active(
        self, build: Build
    ) -> None:
        backend = build_with(build, SPACE, {"lr": 0.012, "optimizer": "adam", "momentum": 0.77})
        config = begin(backend).config
        assert (config["lr"], config["optimizer"]) == (0.012, "adam")
        assert SPACE.problem(config) is None

    @pytest.mark.parametrize("slots", [1, 4])
    def test_a_finite_space_is_searched_to_its_end_without_a_repeat(self, build: Build, slots: int) -> None:
        played = play(build(FINITE, 1), FINITE, trials=100, slots=slots)
        configs = configs_of(played)
        assert len(set(configs)) == len(configs) == 15
        assert played.done
        assert max(trial.epoch for trial in played.trials.values()) == 9

    def test_a_finite_space_ends_and_replays_whatever_becomes_of_its_trials(self, build: Build) -> None:
        for seed in range(3):
            played = play(build(FINITE, seed), FINITE, seed=seed, trials=100, fate=MIXED, pester=2)
            assert len(set(configs_of(played))) == len(played.trials) == 15
            replay(build(FINITE, seed), played.steps)

    def test_one_configuration_is_tried_once(self, build: Build) -> None:
        space = SearchSpace("one", {"x": Float(0.5, 0.5, points=1), "kind": Categorical(("a",))}, Fidelity(3))
        assert len(play(build(space, 0), space, trials=9).trials) == 1

    def test_whole_numbers_with_a_step_are_tried_each_once(self, build: Build) -> None:
        space = SearchSpace("steps", {"width": Int(16, 64, step=16, points=4)}, Fidelity(3))
        played = play(build(space, 0), space, trials=9)
        assert sorted(configs_of(played)) == [f"{{'width': {width}}}" for width in (16, 32, 48, 64)]

    def test_a_queued_configuration_is_not_tried_again_and_counts_as_tried(self, build: Build) -> None:
        given: Mapping[str, Any] = {"optimizer": "sgd", "momentum": 0.3, "widths": (128,), "same": 0.25}
        played = play(build_with(build, FINITE, given), FINITE, trials=100)
        configs = configs_of(played)
        assert configs[0] == repr(given)
        assert len(set(configs)) == len(configs) == 15

    @pytest.mark.parametrize("seed", range(6))
    def test_partial_queued_configurations_of_a_finite_space_are_each_tried_once(self, build: Build, seed: int) -> None:
        given: list[Config] = [{"optimizer": "adam"}, {"widths": (128,)}, {"optimizer": "adam", "widths": None}]
        played = play(build_with(lambda space, _: build(space, seed), FINITE, *given), FINITE, seed=seed, trials=100)
        configs = configs_of(played)
        assert len(set(configs)) == len(configs) == 15
        firsts = [suggestion.config for suggestion in played.first()]
        assert firsts[0]["optimizer"] == "adam"
        assert firsts[1]["widths"] == (128,)
        replay(build_with(lambda space, _: build(space, seed), FINITE, *given), played.steps)

    def test_a_partial_configuration_is_varied_until_nothing_of_it_is_left(self, build: Build) -> None:
        given: list[Config] = [{"optimizer": "adam"}] * 5
        played = play(build_with(build, FINITE, *given), FINITE, trials=100)
        assert len(set(configs_of(played))) == len(played.trials) == 15
        optimizers = [suggestion.config["optimizer"] for suggestion in played.first()[:3]]
        assert optimizers == ["adam"] * 3, "there are three of it"
        replay(build_with(build, FINITE, *given), played.steps)

    def test_a_queued_configuration_that_completes_an_earlier_one_is_not_tried_again(self, build: Build) -> None:
        for widths in FINITE.domains["widths"].grid():
            whole: Config = {"optimizer": "adam", "widths": widths, "same": 0.25}
            played = play(build_with(build, FINITE, {"optimizer": "adam"}, whole), FINITE, trials=100)
            assert len(set(configs_of(played))) == len(played.trials) == 15
            replay(build_with(build, FINITE, {"optimizer": "adam"}, whole), played.steps)

    def test_a_configuration_queued_after_the_end_is_tried_again_to_the_top(self, build: Build) -> None:
        backend = build(FINITE, 1)
        assert isinstance(backend, TakesConfigurations)
        before = play(backend, FINITE, trials=100)
        config = before.trials[4].config
        backend.enqueue(config)
        answer = begin(backend)
        assert (answer.trial, answer.config) == (15, config)
        assert backend.ask() in ("wait", "done")

    def test_queued_configurations_replay(self, build: Build) -> None:
        played = play(build_with(build, SPACE, GIVEN, {"lr": 0.05}), SPACE, trials=12, fate=MIXED)
        replay(build_with(build, SPACE, GIVEN, {"lr": 0.05}), played.steps)
        assert isinstance(played.steps[0], Asked)
        assert isinstance(played.steps[0].suggestion, Suggestion)
