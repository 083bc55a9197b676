"""The backend freeze_thaw: what it trains, what it does with bad values, and its replay."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from hpo.backends import freeze_thaw
from hpo.errors import ReplayError, UserError
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Suggestion
from tests.backends.configurations_contract import ConfigurationsContract
from tests.backends.contract import SPACE, BackendContract, Build
from tests.backends.driving import begin, line, number, report
from tests.backends.fates import MIXED, Fate, fates
from tests.backends.simulation import play, replay


class TestFreezeThaw(BackendContract, ConfigurationsContract):
    n_trials = 12

    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: freeze_thaw.build(space, seed=seed)

    def epochs(self, fidelity: Fidelity) -> Collection[int]:
        return range(fidelity.low, fidelity.high + 1)


def bowl(config: Config, epoch: int) -> float:
    """A loss with its minimum at 0.3, whose early epochs tell much."""
    return 0.1 + (number(config, "x") - 0.3) ** 2 + 1 / (1 + epoch)


def test_most_epochs_go_to_good_configurations() -> None:
    space = line(27)
    played = play(freeze_thaw.build(space, seed=0), space, trials=25, slots=1, loss=bowl)
    finished = [number(trial.config, "x") for trial in played.trials.values() if trial.epoch == 27]
    assert finished
    assert all(abs(x - 0.3) < 0.1 for x in finished)
    assert sum(trial.epoch for trial in played.trials.values()) < 25 * 27 / 2


def test_the_best_configuration_of_a_space_with_conditions_is_found() -> None:
    domains: dict[str, Domain] = {
        "kind": Categorical(("a", "b", "c")),
        "x": Float(0, 1, when={"kind": ("b",)}),
        "y": Int(1, 100, log=True),
    }
    space = SearchSpace("conditional", domains, Fidelity(20))

    def loss(config: Config, epoch: int) -> float:
        bonus = (number(config, "x") - 0.7) ** 2 if config["kind"] == "b" else 0.3
        return 0.1 + bonus + 0.02 * math.log(number(config, "y") / 10) ** 2 + 0.5 / epoch

    played = play(freeze_thaw.build(space, seed=1), space, trials=30, slots=1, loss=loss)
    best = min(played.trials.values(), key=lambda trial: trial.loss)
    assert best.config["kind"] == "b"
    assert abs(number(best.config, "x") - 0.7) < 0.15
    assert best.epoch == 20


def test_the_first_trials_are_spread_and_take_one_step_each() -> None:
    backend = freeze_thaw.build(line(52), seed=0)
    first = [begin(backend) for _ in range(8)]
    assert first[0].config == {"x": 0.5}
    assert [answer.until for answer in first] == [3] * 8
    xs = sorted(number(answer.config, "x") for answer in first[1:])
    assert max(b - a for a, b in pairwise(xs)) < 0.35
    for answer in first[:-1]:
        assert backend.tell(report(answer, 1.0)) == {answer.trial: Decision.PAUSE}


@pytest.mark.parametrize(("fidelity", "first"), [((27, 9), 9), ((2, 1), 2), ((1, 1), 1), ((300, 1), 3), ((5, 5), 5)])
def test_a_trial_trains_to_low_at_first_and_never_beyond_high(fidelity: tuple[int, int], first: int) -> None:
    space = line(*fidelity)
    played = play(freeze_thaw.build(space, seed=0), space, trials=12, loss=bowl)
    assert {suggestion.until for suggestion in played.first()[:8]} == {first}
    assert max(trial.epoch for trial in played.trials.values()) == fidelity[0]


def test_a_diverged_trial_is_stopped_and_never_continued() -> None:
    backend = freeze_thaw.build(line(9), seed=0)
    answer = begin(backend)
    assert backend.tell(report(answer, math.nan)) == {answer.trial: Decision.STOP}
    played = play(freeze_thaw.build(SPACE, seed=4), SPACE, trials=30, fate=fates(nan=0.3, infinite=0.2))
    assert all(math.isfinite(step.before[step.suggestion.trial].loss) for step in played.promotions())


def test_the_model_sees_the_value_of_the_epoch_and_not_the_best_so_far() -> None:
    """A trial whose loss rises again is not taken for one that stays at its best."""
    from hpo.backends._freeze_thaw.trials import Trials

    trials = Trials(9, (3, 9), "val_loss")
    trials.add({}, None)  # type: ignore[arg-type]
    trials.start(0, 3, "")
    trials.report(Report(0, 3, 0.5, {"val_loss": 0.8}, 1.0))
    assert trials.rows[0].value == 0.8


@pytest.mark.parametrize("value", [0.0, 0.25, -3.0])
def test_equal_values_of_all_trials_are_no_error(value: float) -> None:
    space = line(9)
    played = play(freeze_thaw.build(space, seed=0), space, trials=12, loss=lambda config, epoch: value)
    assert len(played.trials) == 12


def test_errors_with_zeros_and_ties_are_searched_like_losses() -> None:
    space = replace(line(20), objective="val_error")

    def error(config: Config, epoch: int) -> float:
        return round(max(0.0, abs(number(config, "x") - 0.3) + 0.5 / epoch - 0.1), 1)

    played = play(freeze_thaw.build(space, seed=0), space, trials=20, loss=error)
    assert min(trial.loss for trial in played.trials.values()) == 0.0


def test_a_search_without_any_finite_value_goes_on_and_ends() -> None:
    played = play(freeze_thaw.build(SPACE, seed=0), SPACE, trials=20, fate=fates(nan=1.0))
    assert len({repr(trial.config) for trial in played.trials.values()}) == 20
    played = play(freeze_thaw.build(SPACE, seed=0), SPACE, trials=20, fate=fates(crash=1.0))
    assert len(played.trials) == 20


def test_a_trial_that_ended_itself_keeps_its_value() -> None:
    """It is not continued, and another one is not trained in its place."""
    space = line(27)
    fate = fates(early=0.5)
    played = play(freeze_thaw.build(space, seed=2), space, trials=20, slots=2, loss=bowl, fate=fate)
    ended = {n for n, trial in played.trials.items() if trial.fate is Fate.EARLY and trial.state == "ended"}
    assert ended
    for step in played.promotions():
        assert step.before[step.suggestion.trial].state == "paused"


def test_where_trials_crash_after_good_values_few_more_begin() -> None:
    """Trials below 0.5 report the best of all values and crash."""
    space = SearchSpace("square", {"x": Float(0, 1), "y": Float(0, 1)}, Fidelity(9))
    backend, epochs = freeze_thaw.build(space, seed=0), dict.fromkeys(range(40), 0)
    begun: list[float] = []
    for _ in range(40):
        answer = begin(backend)
        x, y = number(answer.config, "x"), number(answer.config, "y")
        if answer.trial >= len(begun):
            begun.append(x)
        if x < 0.5:
            backend.tell(report(answer, 0.1, at=1))
            backend.tell(Crash(answer.trial, "ValueError", ""))
            continue
        for epoch in range(epochs[answer.trial] + 1, answer.until + 1):
            backend.tell(report(answer, 0.1 + abs(y - 0.7) + 1 / epoch, at=epoch))
        epochs[answer.trial] = answer.until
    later = begun[10:]
    assert sum(x < 0.5 for x in later) < len(later) / 2


def test_without_new_trials_paused_ones_go_on_until_none_is_useful() -> None:
    space = line(27)
    backend = freeze_thaw.build(space, seed=0)
    for _ in range(8):
        answer = begin(backend)
        backend.tell(report(answer, bowl(answer.config, answer.until)))
    n, answers = 0, backend.ask(new=False)
    while isinstance(answers, Suggestion):
        n += 1
        assert answers.trial < 8
        backend.tell(report(answers, bowl(answers.config, answers.until)))
        answers = backend.ask(new=False)
    assert answers == "done"
    assert 1 <= n < 40


def test_a_search_waits_for_running_trials_before_it_is_done() -> None:
    backend = freeze_thaw.build(line(9), seed=0)
    answer = begin(backend)
    assert backend.ask(new=False) == "wait"
    backend.tell(report(answer, 1.0))
    assert isinstance(backend.ask(new=False), Suggestion)


def test_a_trial_in_an_early_phase_goes_on_until_its_last_phase_begins() -> None:
    backend = freeze_thaw.build(line(20), seed=0)

    def told(answer: Suggestion, phases_left: int) -> None:
        for epoch in range(1, answer.until + 1):
            backend.tell(Report(answer.trial, epoch, 5.0, {"val_loss": 5.0, "phases_left": phases_left}, 1.0))

    first = begin(backend)
    told(first, 1)
    second = begin(backend)
    assert (second.trial, second.until > first.until) == (first.trial, True)
    told(second, 0)
    assert begin(backend).trial == 1


# Replay ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 4])
def test_a_search_that_was_resumed_goes_on_as_it_would_have(slots: int) -> None:
    """All suggestions before the interruption are taken from the record, and all after it are computed."""
    played = play(freeze_thaw.build(SPACE, seed=7), SPACE, trials=30, slots=slots, fate=MIXED)
    n = len(played.asked())
    for interrupted in (3, n // 3, 2 * n // 3, n - 1):
        replay(freeze_thaw.build(SPACE, seed=7), played.steps, taken=range(interrupted))


def test_a_replay_takes_a_recorded_suggestion_as_it_is() -> None:
    """Another machine may have computed other last digits, or another trial to continue."""
    backend: Any = freeze_thaw.build(line(27), seed=0)
    other = Suggestion(0, {"x": 0.123}, 5, notes={"reason": "expected improvement"})
    assert backend.replay(other) == other
    assert backend.tell(report(other, 1.0)) == {0: Decision.PAUSE}
    assert backend.replay(replace(other, until=9)) == replace(other, until=9)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"trial": 7}, "trial 7 is neither paused nor the next new one"),
        ({"trial": 1}, "trial 1 is neither paused nor the next new one"),
        ({"trial": 2, "until": 28}, "`until` must lie above 2, up to 27"),
        ({"trial": 2, "until": 1}, "`until` must lie above 2, up to 27"),
        ({"trial": 0, "until": 3}, "`until` must lie above 3, up to 27"),
    ],
)
def test_a_replay_refuses_a_suggestion_that_can_not_have_been(changed: dict[str, Any], message: str) -> None:
    """Trial 0 is paused at epoch 3, and trial 1 trains."""
    backend: Any = freeze_thaw.build(line(27), seed=0)
    first = begin(backend)
    backend.tell(report(first, 1.0))
    begin(backend)
    recorded: Any = {"config": {"x": 0.5}, "until": 5, **changed}
    with pytest.raises(ReplayError, match=re.escape(message)):
        backend.replay(Suggestion(**recorded))


def test_an_option_is_a_mistake() -> None:
    with pytest.raises(UserError, match="unknown option of the backend freeze_thaw: "):
        freeze_thaw.build(SPACE, seed=0, sampler="gp")
