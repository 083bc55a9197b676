"""BOHB: its model, on spaces of every kind."""

import logging
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from hpo.backends import bohb
from hpo.backends import random as random_search
from hpo.backends._backend import Backend
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from hpo.trial import Config, Crash
from tests.backends.driving import begin, number, report
from tests.backends.simulation import Play, play


def mixed_loss(config: Config, epoch: int) -> float:
    """Best for sgd at lr 1e-2, momentum 0.9, width 32 without skip."""
    loss = abs(math.log10(number(config, "lr")) + 2) + abs(math.log2(number(config, "width")) - 5) / 4
    loss += 0.5 * (config["optimizer"] != "sgd") + 0.3 * (config["batch"] != 64) + 0.3 * (config["skip"] is not False)
    return loss + abs(number(config, "momentum") - 0.9) + 1 / epoch


MIXED_SPACE = SearchSpace(
    "mixed",
    {
        "optimizer": Categorical(("adam", "sgd", "nag")),
        "lr": Float(1e-10, 1e-1, log=True),
        "width": Int(1, 512, log=True),
        "batch": Categorical((16, 32, 64)),
        "skip": Categorical((None, True, False)),
        "momentum": Float(0.0, 0.99, when={"optimizer": ("sgd", "nag")}),
        "nesterov": Categorical((True, False), when={"optimizer": ("sgd",)}),
        "dampening": Float(0.0, 0.5, when={"nesterov": (False,), "optimizer": ("sgd",)}),
    },
    Fidelity(9),
)


def search_mixed(trials: int, seed: int = 0, **options: float) -> Play:
    backend = bohb.build(MIXED_SPACE, seed=seed, num_samples=16, **options)  # type: ignore[arg-type]
    return play(backend, MIXED_SPACE, trials=trials, loss=mixed_loss)


def test_the_model_picks_most_configurations_of_a_space_of_every_kind(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        first = search_mixed(90).first()
    late = [suggestion.notes["model_based_pick"] for suggestion in first[45:]]
    assert first[0].notes == {"model_based_pick": False}
    assert 0.5 < statistics.mean(map(bool, late)) < 0.85
    assert caplog.records == []


def test_no_configuration_is_modelled_where_all_are_to_be_random() -> None:
    assert not any(suggestion.notes["model_based_pick"] for suggestion in search_mixed(40, random_fraction=1.0).first())


def test_picks_of_the_model_are_better_than_random_ones() -> None:
    losses: dict[object, list[float]] = defaultdict(list)
    for seed in range(2):
        for suggestion in search_mixed(90, seed).first()[30:]:
            losses[suggestion.notes["model_based_pick"]].append(mixed_loss(suggestion.config, 9))
    assert statistics.median(losses[True]) < 0.8 * statistics.median(losses[False])


def test_the_model_prefers_the_choice_that_is_common_among_the_good() -> None:
    space = SearchSpace("choices", {"kind": Categorical(tuple(range(8))), "any": Float(0, 1)}, Fidelity(1))
    backend = bohb.build(space, seed=0, random_fraction=0.0)
    played = play(backend, space, trials=80, slots=1, loss=lambda config, _: abs(number(config, "kind") - 3))
    late = [suggestion.config["kind"] for suggestion in played.first()[40:]]
    assert late.count(3) > 30


def test_a_model_of_categories_never_seen_stays_finite(caplog: pytest.LogCaptureFixture) -> None:
    domains: dict[str, Domain] = {
        "kind": Categorical(("a", "b", "c")),
        "other": Categorical((1, 2)),
        "only": Categorical(("x",)),
        "any": Float(0, 1),
    }
    space = SearchSpace("rare", domains, Fidelity(3))
    with caplog.at_level(logging.WARNING):
        played = play(bohb.build(space, seed=0), space, trials=60, loss=lambda config, _: float(config["kind"] != "a"))
    late = [suggestion for suggestion in played.first()[20:] if suggestion.notes["model_based_pick"]]
    assert statistics.mean(suggestion.config["kind"] == "a" for suggestion in late) > 0.8
    assert caplog.records == []


def test_crashes_teach_the_model_to_keep_away() -> None:
    space = SearchSpace("cliff", {"x": Float(0, 1)}, Fidelity(1))
    backend = bohb.build(space, seed=0, random_fraction=0.0)
    xs = []
    for _ in range(60):
        answer = begin(backend)
        x = number(answer.config, "x")
        xs.append(x)
        backend.tell(Crash(answer.trial, "ValueError", "") if x > 0.5 else report(answer, 1.0))
    assert sum(x > 0.5 for x in xs[30:]) < 5


def best_loss(build: Callable[[int], Backend], space: SearchSpace, seed: int, epochs: int) -> float:
    """The lowest loss at full fidelity after so many epochs, one trial at a time."""
    backend, best, spent, reached = build(seed), math.inf, 0, Counter[int]()
    while spent < epochs:
        answer = begin(backend)
        while reached[answer.trial] < answer.until:
            reached[answer.trial] += 1
            spent += 1
            loss = mixed_loss(answer.config, reached[answer.trial])
            decisions = backend.tell(report(answer, loss, at=reached[answer.trial]))
            if reached[answer.trial] == space.fidelity.high:
                best = min(best, loss)
            if answer.trial in decisions:
                break
    return best


def test_bohb_beats_random_search_at_the_same_cost() -> None:
    ours = [
        best_loss(lambda s: bohb.build(MIXED_SPACE, seed=s, num_samples=16), MIXED_SPACE, seed, 250)
        for seed in range(4)
    ]
    theirs = [
        best_loss(lambda s: random_search.build(MIXED_SPACE, seed=s), MIXED_SPACE, seed, 250) for seed in range(15)
    ]
    assert statistics.mean(ours) < statistics.mean(theirs)
