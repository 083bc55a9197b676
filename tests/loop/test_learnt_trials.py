"""What of the trials of an earlier study is learnt in the space of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from hpo.loop.earlier_study import learnt_from_history
from hpo.record import History
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from hpo.trial import Crash, Report, Suggestion
from tests.loop.searching import INLINE

FREEZE = replace(INLINE, backend="freeze_thaw")


def recorded(
    space: SearchSpace, configs: list[Mapping[str, object]], losses: list[list[float]], *, last: bool = False
) -> History:
    """The history of trials with these losses."""
    known = History(space.fidelity.high, space.metric)
    for number, (config, values) in enumerate(zip(configs, losses, strict=True)):
        known.append(Suggestion(number, config, space.fidelity.high))  # type: ignore[arg-type]
        for epoch, loss in enumerate(values, start=1):
            best = min((value for value in values[:epoch] if math.isfinite(value)), default=math.inf)
            known.append(Report(number, epoch, best, {"val_loss": loss}, 1.0, last and epoch == len(values)))
    return known


OLD: dict[str, Domain] = {
    "n": Int(1, 100),
    "lr": Float(1e-4, 1, log=True),
    "kind": Categorical(("a", "b")),
    "z": Float(0, 1),
}
NEW: dict[str, Domain] = {"lr": Float(1e-3, 1e-1, log=True), "kind": Categorical(("b", "c")), "n": Float(0, 50)}


def test_trials_are_taken_over_by_the_names_of_hyperparameters() -> None:
    old, new = SearchSpace("old", OLD, Fidelity(9)), SearchSpace("new", {**NEW, "own": Float(0, 1)}, Fidelity(27))
    configs: list[Mapping[str, object]] = [
        {"n": 7, "lr": 0.01, "kind": "b", "z": 0.5},
        {"n": 7, "lr": 0.01, "kind": "a", "z": 0.5},
        {"n": 7, "lr": 0.5, "kind": "b", "z": 0.5},
        {"n": 60, "lr": 0.01, "kind": "b", "z": 0.5},
        {"n": 8, "lr": 0.02, "kind": "b", "z": 0.5},
    ]
    found = learnt_from_history("a", old, recorded(old, configs, [[0.3, 0.2]] * 5), new)
    assert found.hyperparameters == ("lr", "kind", "n")
    assert found.high == 9
    assert [trial.config for trial in found.trials] == [
        {"n": 7.0, "lr": 0.01, "kind": "b"},
        {"n": 8.0, "lr": 0.02, "kind": "b"},
    ]
    assert isinstance(found.trials[0].config["n"], float)
    fixed = replace(new, domains={"lr": NEW["lr"]}, fixed={"kind": "a"})
    assert [
        trial.config for trial in learnt_from_history("a", old, recorded(old, configs, [[0.3]] * 5), fixed).trials
    ] == [{"lr": 0.01}]


def test_a_trial_that_ended_itself_keeps_its_lowest_value_and_a_crash_counts_as_nan() -> None:
    space = SearchSpace("s", {"x": Float(0, 1)}, Fidelity(9))
    known = recorded(space, [{"x": 0.5}, {"x": 0.6}], [[0.3, 0.2, 0.4], [0.5, 0.1]], last=True)
    assert [dict(trial.values) for trial in learnt_from_history("a", space, known, space).trials] == [
        {1: 0.3, 2: 0.2, 3: 0.4, 9: 0.2},
        {1: 0.5, 2: 0.1, 9: 0.1},
    ]
    known = recorded(space, [{"x": 0.5}, {"x": 0.6}], [[0.3, 0.2], []])
    known.append(Crash(0, "ValueError", "no"))
    (trial,) = learnt_from_history("a", space, known, space).trials
    assert list(trial.values) == [1, 2, 3]
    assert math.isnan(trial.values[3])


@pytest.mark.parametrize("last", [math.nan, math.inf])
def test_a_trial_that_diverged_does_not_keep_its_lowest_value(last: float) -> None:
    space = SearchSpace("s", {"x": Float(0, 1)}, Fidelity(9))
    known = recorded(space, [{"x": 0.5}], [[0.3, 0.1, last]], last=True)
    assert known.trials[0].loss == 0.1
    (trial,) = learnt_from_history("a", space, known, space).trials
    assert repr(trial.values) == repr({1: 0.3, 2: 0.1, 3: last})


def test_a_hyperparameter_that_is_not_active_in_the_space_says_nothing_of_a_trial() -> None:
    old: dict[str, Domain] = {"opt": Categorical(("sgd", "adamw")), "m": Float(0, 1), "k": Float(0, 1)}
    new: dict[str, Domain] = {
        "opt": Categorical(("sgd", "adamw")),
        "m": Float(0, 0.5, when={"opt": ("sgd",)}),
        "k": Float(0, 0.5, when={"opt": ("sgd",)}),
    }
    source, space = SearchSpace("old", old, Fidelity(9)), SearchSpace("new", new, Fidelity(9))
    configs: list[Mapping[str, object]] = [
        {"opt": "adamw", "m": 0.9, "k": 0.2},
        {"opt": "sgd", "m": 0.9, "k": 0.2},
        {"opt": "sgd", "m": 0.4, "k": 0.2},
    ]
    found = learnt_from_history("a", source, recorded(source, configs, [[0.3]] * 3), space)
    assert [trial.config for trial in found.trials] == [{"opt": "adamw"}, {"opt": "sgd", "m": 0.4, "k": 0.2}]
    of_sgd = replace(source, domains={name: old[name] for name in ("m", "k")}, fixed={"opt": "adamw"})
    found = learnt_from_history("a", of_sgd, recorded(of_sgd, [{"m": 0.4, "k": 0.2}], [[0.3]]), space)
    assert [dict(trial.config) for trial in found.trials] == [{}]


def test_the_epochs_before_the_last_training_phase_are_left_out() -> None:
    space = SearchSpace("s", {"x": Float(0, 1)}, Fidelity(9))
    known = History(9)
    known.append(Suggestion(0, {"x": 0.5}, 9))
    for epoch, left in enumerate((1, 1, 0, 0), start=1):
        known.append(Report(0, epoch, 0.5, {"val_loss": 1 / epoch, "phases_left": left}, 1.0))
    assert list(learnt_from_history("a", space, known, space).trials[0].values) == [3, 4]
