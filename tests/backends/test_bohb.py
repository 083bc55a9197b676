"""BOHB: its brackets, and what becomes of trials in them."""

import math
from collections import Counter

import pytest

from hpo.backends import bohb
from hpo.backends._backend import Backend
from hpo.errors import UserError
from hpo.space import Categorical, Fidelity, Float, SearchSpace
from hpo.trial import Crash, Decision, Suggestion
from tests.backends.configurations_contract import ConfigurationsContract
from tests.backends.contract import SPACE, BackendContract, Build
from tests.backends.driving import begin, line, report
from tests.backends.fates import Fate, fates
from tests.backends.simulation import play, replay


class TestBohb(BackendContract, ConfigurationsContract):
    n_trials = 60  # the model draws many of them

    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: bohb.build(space, seed=seed, num_samples=4)


def begin_all(backend: Backend, count: int) -> list[Suggestion]:
    return [begin(backend) for _ in range(count)]


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
    first = begin_all(backend, 9)
    for answer in first[:-1]:
        assert backend.tell(report(answer, 1 + answer.trial)) == {answer.trial: Decision.PAUSE}
    settled = backend.tell(report(first[-1], 0.5))
    assert settled == {8: Decision.PAUSE} | dict.fromkeys((2, 3, 4, 5, 6, 7), Decision.STOP)
    promoted = begin_all(backend, 3)
    assert [(answer.trial, answer.until) for answer in promoted] == [(0, 3), (1, 3), (8, 3)]
    assert [answer.config for answer in promoted] == [first[trial].config for trial in (0, 1, 8)]
    assert [answer.notes for answer in promoted] == [first[trial].notes for trial in (0, 1, 8)]


def test_a_trial_that_closes_its_rung_and_loses_is_stopped_at_once() -> None:
    backend = bohb.build(line(9), seed=0)
    first = begin_all(backend, 9)
    for answer in first[:-1]:
        backend.tell(report(answer, 1.0))
    assert backend.tell(report(first[-1], 2.0))[8] is Decision.STOP


def test_of_equal_losses_the_earlier_trial_is_promoted() -> None:
    backend = bohb.build(line(81), seed=0, num_samples=4)
    for answer in begin_all(backend, 81):
        backend.tell(report(answer, 1.0))
    assert [answer.trial for answer in begin_all(backend, 27)] == list(range(27))


def test_free_slots_are_filled_while_a_rung_waits_for_a_slow_trial() -> None:
    backend = bohb.build(line(9), seed=0)
    slow, *quick = begin_all(backend, 9)
    for answer in quick:
        backend.tell(report(answer, 1.0 + answer.trial))
    assert backend.ask(new=False) == "wait"
    ahead = begin_all(backend, 4)
    assert [(answer.trial, answer.bracket, answer.until) for answer in ahead] == [
        (9, 1, 3), (10, 1, 3), (11, 1, 3), (12, 2, 9)
    ]  # fmt: skip
    backend.tell(report(slow, 0.0))
    following = begin_all(backend, 4)
    assert [(answer.trial, answer.until) for answer in following] == [(0, 3), (1, 3), (2, 3), (13, 9)]


def test_a_trial_that_ended_itself_keeps_its_place_without_training_on() -> None:
    backend = bohb.build(line(9), seed=0)
    first = begin_all(backend, 9)
    assert backend.tell(report(first[0], 0.1, last=True)) == {}
    for answer in first[1:]:
        backend.tell(report(answer, 1.0 + answer.trial))
    second = begin_all(backend, 2)
    assert [(answer.trial, answer.until) for answer in second] == [(1, 3), (2, 3)]
    assert backend.tell(report(second[0], 2.0)) == {1: Decision.PAUSE}
    # Trial 0 wins the second rung with the loss of the first, so nobody is left to train in this bracket.
    assert backend.tell(report(second[1], 3.0)) == {1: Decision.STOP, 2: Decision.STOP}
    assert backend.ask(new=False) == "done"
    assert begin(backend).bracket == 1


def test_rungs_left_short_by_crashes_take_new_trials() -> None:
    backend = bohb.build(line(9), seed=0)
    first = begin_all(backend, 9)
    for answer in first[:-1]:
        assert backend.tell(Crash(answer.trial, "ValueError", "")) == {}
    assert backend.tell(report(first[-1], 1.0)) == {8: Decision.PAUSE}
    assert [(answer.trial, answer.until) for answer in begin_all(backend, 3)] == [(8, 3), (9, 3), (10, 3)]


@pytest.mark.parametrize("loss", [math.inf, math.nan, -math.inf])
def test_a_trial_with_the_worst_loss_is_stopped_at_its_rung(loss: float) -> None:
    backend = bohb.build(line(9), seed=0)
    assert backend.tell(report(begin(backend), loss)) == {0: Decision.STOP}


def test_epochs_before_the_rung_settle_nothing() -> None:
    backend = bohb.build(line(9, 3), seed=0)
    answer = begin(backend)
    assert answer.until == 3
    assert backend.tell(report(answer, 1.0, at=1)) == {}
    assert backend.tell(report(answer, 1.0, at=2)) == {}


@pytest.mark.parametrize(("high", "eta", "rungs"), [(243, 3, 6), (30, 3, 4), (64, 2, 7), (100, 10, 3), (125, 5, 4)])
def test_no_rung_is_lost_to_a_floating_logarithm(high: int, eta: int, rungs: int) -> None:
    backend = bohb.build(line(high, 1, eta), seed=0)
    assert begin(backend).until == 1
    assert bohb.bracket_sizes(0, rungs, eta)[0] == eta ** (rungs - 1)
    assert len(line(high, 1, eta).fidelity.rungs()) == rungs


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
    with pytest.raises(UserError, match=message):
        bohb.build(SPACE, seed=0, **options)  # type: ignore[arg-type]


def test_trials_that_end_early_never_block_a_bracket() -> None:
    space = line(27)
    for seed in range(5):
        fate = fates(early=0.4, crash=0.2, diverge=0.2)
        played = play(bohb.build(space, seed=seed, num_samples=4), space, seed=seed, trials=50, fate=fate)
        assert sum(trial.fate is Fate.FINE for trial in played.trials.values()) > 3
        brackets = {trial.bracket for trial in played.trials.values()}
        assert len(brackets) >= 3


@pytest.mark.parametrize("seed", range(3))
def test_a_suggestion_does_not_depend_on_when_the_densities_were_estimated(seed: int) -> None:
    """Values for the hyperparameters that are not active are drawn for each density, the top rung's among them."""
    space = SearchSpace(
        "conditional", {"kind": Categorical(("a", "b")), "x": Float(0, 1, when={"kind": ("a",)})}, Fidelity(3)
    )
    played = play(bohb.build(space, seed=seed, num_samples=4), space, trials=90)
    n = len(played.asked())
    replay(bohb.build(space, seed=seed, num_samples=4), played.steps, taken=[i for i in range(n) if i % 5])
