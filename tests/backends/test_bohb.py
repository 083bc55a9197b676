"""BOHB."""

import logging
import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from hpo.backends import bohb
from hpo.backends._backend import Backend
from hpo.errors import Mistake
from hpo.space import Categorical, Fidelity, Float, Int, SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Suggestion
from tests.backends.contract import SPACE, BackendContract, Build
from tests.backends.simulation import Fate, Play, fates, play


class TestBohb(BackendContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: bohb.build(space, seed=seed, num_samples=4)


ONE = {"x": Float(0, 1)}


def line(high: int, low: int = 1, eta: int = 3) -> SearchSpace:
    return SearchSpace("line", ONE, Fidelity(high, low, eta))


def report(answer: object, loss: float, *, last: bool = False, at: int | None = None) -> Report:
    assert isinstance(answer, Suggestion)
    return Report(answer.trial, at or answer.until, loss, {}, 1.0, last)


def begin(backend: Backend, count: int) -> list[Suggestion]:
    answers = [backend.ask() for _ in range(count)]
    return [answer for answer in answers if isinstance(answer, Suggestion)]


@pytest.mark.parametrize(
    ("n_rungs", "eta", "sizes"),
    [
        (4, 3, [(27, 9, 3, 1), (9, 3, 1), (6, 2), (4,), (27, 9, 3, 1)]),
        (6, 3, [(243, 81, 27, 9, 3, 1), (81, 27, 9, 3, 1)]),
        (3, 4, [(16, 4, 1), (4, 1), (3,)]),
        (1, 3, [(1,), (1,)]),
    ],
)
def test_brackets_have_the_sizes_of_hyperband(n_rungs: int, eta: int, sizes: list[tuple[int, ...]]) -> None:
    assert [bohb.bracket_sizes(index, n_rungs, eta) for index in range(len(sizes))] == sizes


def test_a_search_fills_its_brackets_rung_by_rung() -> None:
    space = line(27)
    backend = bohb.build(space, seed=0, num_samples=4)
    played = play(backend, space, trials=27 + 9 + 6 + 4, slots=1)
    runs = Counter((step.suggestion.bracket, step.suggestion.until) for step in played.asked())
    assert [runs[0, rung] for rung in (1, 3, 9, 27)] == [27, 9, 3, 1]
    assert [runs[1, rung] for rung in (3, 9, 27)] == [9, 3, 1]
    assert [runs[2, rung] for rung in (9, 27)] == [6, 2]
    assert runs[3, 27] == 4


def test_the_best_of_a_rung_are_promoted_and_the_others_stopped_at_once() -> None:
    backend = bohb.build(line(9), seed=0)
    first = begin(backend, 9)
    for answer in first[:-1]:
        assert backend.tell(report(answer, 1 + answer.trial)) == {answer.trial: Decision.PAUSE}
    fates = backend.tell(report(first[-1], 0.5))
    assert fates == {8: Decision.PAUSE} | dict.fromkeys((2, 3, 4, 5, 6, 7), Decision.STOP)
    promoted = begin(backend, 3)
    assert [(answer.trial, answer.until) for answer in promoted] == [(0, 3), (1, 3), (8, 3)]
    assert [answer.config for answer in promoted] == [first[trial].config for trial in (0, 1, 8)]
    assert [answer.notes for answer in promoted] == [first[trial].notes for trial in (0, 1, 8)]


def test_a_trial_that_closes_its_rung_and_loses_is_stopped_at_once() -> None:
    backend = bohb.build(line(9), seed=0)
    first = begin(backend, 9)
    for answer in first[:-1]:
        backend.tell(report(answer, 1.0))
    assert backend.tell(report(first[-1], 2.0))[8] is Decision.STOP


def test_of_equal_losses_the_earlier_trial_is_promoted() -> None:
    backend = bohb.build(line(81), seed=0, num_samples=4)
    for answer in begin(backend, 81):
        backend.tell(report(answer, 1.0))
    assert [answer.trial for answer in begin(backend, 27)] == list(range(27))


def test_free_slots_are_filled_while_a_rung_waits_for_a_slow_trial() -> None:
    backend = bohb.build(line(9), seed=0)
    slow, *quick = begin(backend, 9)
    for answer in quick:
        backend.tell(report(answer, 1.0 + answer.trial))
    assert backend.ask(new=False) == "wait"
    ahead = begin(backend, 4)
    assert [(answer.trial, answer.bracket, answer.until) for answer in ahead] == [
        (9, 1, 3), (10, 1, 3), (11, 1, 3), (12, 2, 9)
    ]  # fmt: skip
    backend.tell(report(slow, 0.0))
    following = begin(backend, 4)
    assert [(answer.trial, answer.until) for answer in following] == [(0, 3), (1, 3), (2, 3), (13, 9)]


def test_a_trial_that_ended_itself_keeps_its_place_without_training_on() -> None:
    backend = bohb.build(line(9), seed=0)
    first = begin(backend, 9)
    assert backend.tell(report(first[0], 0.1, last=True)) == {}
    for answer in first[1:]:
        backend.tell(report(answer, 1.0 + answer.trial))
    second = begin(backend, 2)
    assert [(answer.trial, answer.until) for answer in second] == [(1, 3), (2, 3)]
    assert backend.tell(report(second[0], 2.0)) == {1: Decision.PAUSE}
    # Trial 0 wins the second rung with the loss of the first, so nobody is left to train in this bracket.
    assert backend.tell(report(second[1], 3.0)) == {1: Decision.STOP, 2: Decision.STOP}
    assert backend.ask(new=False) == "done"
    assert begin(backend, 1)[0].bracket == 1


def test_rungs_left_short_by_crashes_take_new_trials() -> None:
    backend = bohb.build(line(9), seed=0)
    first = begin(backend, 9)
    for answer in first[:-1]:
        assert backend.tell(Crash(answer.trial, "ValueError", "")) == {}
    assert backend.tell(report(first[-1], 1.0)) == {8: Decision.PAUSE}
    assert [(answer.trial, answer.until) for answer in begin(backend, 3)] == [(8, 3), (9, 3), (10, 3)]


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_a_trial_with_the_worst_loss_is_stopped_at_its_rung(loss: float) -> None:
    backend = bohb.build(line(9), seed=0)
    assert backend.tell(report(begin(backend, 1)[0], loss)) == {0: Decision.STOP}


def test_epochs_before_the_rung_settle_nothing() -> None:
    backend = bohb.build(line(9, 3), seed=0)
    answer = begin(backend, 1)[0]
    assert answer.until == 3
    assert backend.tell(report(answer, 1.0, at=1)) == {}
    assert backend.tell(report(answer, 1.0, at=2)) == {}


@pytest.mark.parametrize(("high", "eta", "rungs"), [(243, 3, 6), (30, 3, 4), (64, 2, 7), (100, 10, 3), (125, 5, 4)])
def test_no_rung_is_lost_to_a_floating_logarithm(high: int, eta: int, rungs: int) -> None:
    backend = bohb.build(line(high, 1, eta), seed=0)
    assert begin(backend, 1)[0].until == 1
    assert bohb.bracket_sizes(0, rungs, eta)[0] == eta ** (rungs - 1)
    assert len(line(high, 1, eta).fidelity.rungs()) == rungs


def mixed_loss(config: Config, epoch: int) -> float:
    """Best for sgd at lr 1e-2, momentum 0.9, width 32 without skip."""
    loss = abs(math.log10(float(config["lr"] or 0)) + 2) + abs(math.log2(float(config["width"] or 0)) - 5) / 4
    loss += 0.5 * (config["optimizer"] != "sgd") + 0.3 * (config["batch"] != 64) + 0.3 * (config["skip"] is not False)
    return loss + abs(float(config.get("momentum") or 0) - 0.9) + 1 / epoch


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
    for seed in range(3):
        for suggestion in search_mixed(90, seed).first()[30:]:
            losses[suggestion.notes["model_based_pick"]].append(mixed_loss(suggestion.config, 9))
    assert statistics.median(losses[True]) < 0.8 * statistics.median(losses[False])


def test_the_model_prefers_the_choice_that_is_common_among_the_good() -> None:
    space = SearchSpace("choices", {"kind": Categorical(tuple(range(8)))}, Fidelity(1))
    backend = bohb.build(space, seed=0, random_fraction=0.0)
    played = play(backend, space, trials=80, slots=1, loss=lambda config, _: abs(float(config["kind"] or 0) - 3))
    late = [suggestion.config["kind"] for suggestion in played.first()[40:]]
    assert late.count(3) > 30


def test_a_model_of_categories_never_seen_stays_finite(caplog: pytest.LogCaptureFixture) -> None:
    domains = {"kind": Categorical(("a", "b", "c")), "other": Categorical((1, 2)), "only": Categorical(("x",))}
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
        answer = begin(backend, 1)[0]
        x = float(answer.config["x"] or 0)
        xs.append(x)
        backend.tell(Crash(answer.trial, "ValueError", "") if x > 0.5 else report(answer, 1.0))
    assert sum(x > 0.5 for x in xs[30:]) < 5


def best_loss(build: Callable[[int], Backend], space: SearchSpace, seed: int, epochs: int) -> float:
    """The lowest loss at full fidelity after so many epochs, one trial at a time."""
    backend, best, spent, reached = build(seed), math.inf, 0, Counter[int]()
    while spent < epochs:
        answer = begin(backend, 1)[0]
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
    from hpo.backends import random as random_search

    ours = [
        best_loss(lambda s: bohb.build(MIXED_SPACE, seed=s, num_samples=16), MIXED_SPACE, seed, 350)
        for seed in range(5)
    ]
    theirs = [
        best_loss(lambda s: random_search.build(MIXED_SPACE, seed=s), MIXED_SPACE, seed, 350) for seed in range(15)
    ]
    assert statistics.mean(ours) < statistics.mean(theirs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_bandwith": 1}, "did you mean 'min_bandwidth'"),
        ({"top_n_percent": 0}, "`top_n_percent` must be a whole number of at least 1 and at most 99, but is 0"),
        ({"top_n_percent": True}, "whole number"),
        ({"num_samples": "many"}, "but is 'many'"),
        ({"random_fraction": 1.5}, "`random_fraction` must be a number of at least 0 and at most 1"),
        ({"random_fraction": math.nan}, "nan"),
        ({"bandwidth_factor": 0}, "must be a number above 0"),
        ({"min_points_in_model": 3}, f"at least {len(SPACE.domains) + 1}"),
    ],
)
def test_a_wrong_option_is_a_mistake_that_names_what_is_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises(Mistake, match=message):
        bohb.build(SPACE, seed=0, **options)  # type: ignore[arg-type]


def test_trials_that_end_early_never_block_a_bracket() -> None:
    space = line(27)
    for seed in range(5):
        rng = random.Random(seed)
        fate = fates(early=0.4, crash=0.2, diverge=0.2)
        played = play(bohb.build(space, seed=seed, num_samples=4), space, seed=rng.randrange(99), trials=50, fate=fate)
        assert sum(trial.fate is Fate.FINE for trial in played.trials.values()) > 3
        brackets = {trial.bracket for trial in played.trials.values()}
        assert len(brackets) >= 3
