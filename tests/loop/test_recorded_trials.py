from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.backends import optuna
from hpo.backends import random as random_search
from hpo.loop.recorded_trials import RecordedTrials, is_short, playable
from hpo.loop.simulation import play_trials
from hpo.record import Budget, History
from hpo.space import Categorical, Fidelity, Float, SearchSpace
from hpo.trial import Config, Crash, Report, Suggestion

HIGH = 9
SPACE = SearchSpace(
    "toy",
    {
        "kind": Categorical(("a", "b")),
        "x": Float(0.0, 1.0),
        "y": Float(1e-3, 1.0, log=True, when={"kind": ("a",)}),
    },
    Fidelity(HIGH),
)


def recorded(*trials: tuple[Config, int, bool]) -> History:
    """A study of trials with a configuration, a number of epochs, and whether the trial ended itself there.

    All values differ, so that each says where it comes from.
    """
    history = History(HIGH)
    for number, (config, epochs, last) in enumerate(trials):
        history.append(Suggestion(number, config, until=HIGH))
        for epoch in range(1, epochs + 1):
            loss = number + 1 / (epoch + 1)
            metrics = {"val_loss": loss}
            history.append(Report(number, epoch, loss, metrics, 1.0 + number, last=last and epoch == epochs))
    return history


def at(x: float) -> Config:
    return {"kind": "b", "x": x}


CONFIGS = st.floats(0, 1).map(at) | st.tuples(st.floats(0, 1), st.floats(1e-3, 1)).map(
    lambda xy: {"kind": "a", "x": xy[0], "y": xy[1]}
)
STUDIES = st.lists(st.tuples(CONFIGS, st.integers(1, HIGH), st.booleans()), min_size=1, max_size=8)


def losses(reports: Sequence[Report]) -> list[float]:
    return [report.metrics["val_loss"] for report in reports]


@settings(max_examples=40, deadline=None)
@given(trials=STUDIES, module=st.sampled_from([random_search, optuna]), slots=st.integers(1, 3), seed=st.integers(0, 9))
def test_every_trial_plays_the_start_of_another_recorded_curve(
    trials: list[tuple[Config, int, bool]], module: object, slots: int, seed: int
) -> None:
    study = recorded(*trials)
    known = RecordedTrials(SPACE, playable(study))
    backend = module.build(SPACE, seed=seed)  # type: ignore[attr-defined]
    played = play_trials(backend, SPACE, known, slots=slots, budget=Budget(trials=len(trials)))
    sources = [int(losses(trial.reports)[0]) for trial in played.trials.values()]
    assert len(set(sources)) == len(sources) == len(trials)
    for source, trial in zip(sources, played.trials.values(), strict=True):
        curve = study.trials[source].reports
        assert losses(trial.reports) == losses(curve)[: trial.epoch]
        assert (trial.number in known.cut) == (is_short(study.trials[source], HIGH) and trial.epoch == len(curve))
    assert played.n_epochs == sum(isinstance(event, Report) for event in played.events) <= study.n_epochs


@settings(max_examples=40, deadline=None)
@given(trials=STUDIES, seed=st.integers(0, 9))
def test_a_backend_that_stops_nothing_plays_the_whole_study(trials: list[tuple[Config, int, bool]], seed: int) -> None:
    study = recorded(*trials)
    known = RecordedTrials(SPACE, playable(study))
    played = play_trials(random_search.build(SPACE, seed=seed), SPACE, known, budget=Budget(trials=len(trials)))
    assert played.n_epochs == study.n_epochs
    assert sorted(losses([r for t in played.trials.values() for r in t.reports])) == sorted(
        losses([r for t in study.trials.values() for r in t.reports])
    )


def taken(known: RecordedTrials, *configs: Config) -> list[int]:
    """The numbers of the recorded trials that new trials with these configurations take."""
    suggestions = [Suggestion(number, config, HIGH) for number, config in enumerate(configs)]
    seconds = [known.seconds(suggestion, 1) for suggestion in suggestions]
    assert [known.report(each, 1).seconds for each in suggestions] == seconds
    return [int(each - 1) for each in seconds]


def test_a_trial_takes_the_nearest_configuration_that_is_left() -> None:
    study = recorded((at(0.1), 9, False), (at(0.4), 9, False), (at(0.9), 9, False))
    assert taken(RecordedTrials(SPACE, playable(study)), at(0.3), at(0.3), at(0.0)) == [1, 0, 2]


def test_another_choice_is_further_away_than_any_value_of_a_range() -> None:
    study = recorded((at(0.5), 9, False), ({"kind": "a", "x": 0.9, "y": 0.03}, 9, False))
    assert taken(RecordedTrials(SPACE, playable(study)), {"kind": "a", "x": 0.5, "y": 0.03}) == [1]


def test_of_equal_configurations_the_first_trial_is_taken_first() -> None:
    study = recorded((at(0.5), 9, False), (at(0.5), 9, False))
    assert taken(RecordedTrials(SPACE, playable(study)), at(0.1), at(0.5)) == [0, 1]


@pytest.mark.parametrize(("epochs", "last", "cut"), [(4, False, {0}), (4, True, set()), (9, False, set())])
def test_a_trial_ends_with_its_curve_and_is_counted_if_the_study_ended_it(
    epochs: int, last: bool, cut: set[int]
) -> None:
    known = RecordedTrials(SPACE, playable(recorded((at(0.5), epochs, last))))
    played = play_trials(random_search.build(SPACE, seed=0), SPACE, known, budget=Budget(trials=1))
    assert played.trials[0].epoch == epochs
    assert known.cut == cut


def test_crashed_trials_and_trials_without_an_epoch_cannot_be_played() -> None:
    study = recorded((at(0.1), 3, False), (at(0.2), 9, False), (at(0.3), 0, False))
    study.append(Crash(0, "ValueError", "no"))
    assert [trial.number for trial in playable(study)] == [1]
