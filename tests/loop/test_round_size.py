"""The note on a budget that does not cover one round of brackets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hpo.loop import budget_note
from hpo.record import Budget, Settings
from hpo.space import Fidelity
from tests.backends.driving import line


@pytest.mark.parametrize(
    ("backend", "options", "budget", "round_takes", "fits"),
    [
        ("bohb", {}, Budget(trials=28), "46 trials and 342 epochs", "trials=46, or fidelity.low=3"),
        ("optuna", {}, Budget(trials=28), "46 trials and 342 epochs", "trials=46, or fidelity.low=3"),
        ("bohb", {}, Budget(epochs=50), "46 trials and 342 epochs", "epochs=342"),
        ("bohb", {}, Budget(5, 100), "46 trials", "trials=46 and epochs=342, or fidelity.low=9"),
        ("optuna", {"pruner": "sha"}, Budget(trials=20), "27 trials and 81 epochs", "trials=27, or fidelity.low="),
        ("asha", {}, Budget(epochs=80), "27 trials and 81 epochs", "epochs=81, or fidelity.low=3"),
        ("asha", {"brackets": 2}, Budget(trials=35), "36 trials and 144 epochs", "trials=36, or fidelity.low="),
    ],
)
def test_a_budget_below_one_round_is_named_with_what_would_fit(
    backend: str, options: Mapping[str, Any], budget: Budget, round_takes: str, fits: str
) -> None:
    note = budget_note(line(27), Settings(backend=backend, options=options), budget)
    assert note is not None
    assert f"takes {round_takes}" in note
    assert f"Fits: {fits}" in note
    assert "\n" not in note


@pytest.mark.parametrize(
    ("backend", "options", "budget"),
    [
        ("bohb", {}, Budget(trials=46)),
        ("bohb", {}, Budget(trials=46, epochs=342)),
        ("bohb", {}, Budget(seconds=1)),
        ("optuna", {}, Budget(trials=64)),
        ("optuna", {"pruner": "median"}, Budget(trials=1)),
        ("optuna", {"pruner": None}, Budget(trials=1)),
        ("asha", {}, Budget(trials=27, epochs=81)),
        ("asha", {"brackets": "wrong"}, Budget(trials=1)),
        ("random", {}, Budget(trials=1)),
        ("grid", {}, Budget(trials=1)),
    ],
)
def test_nothing_is_said_of_a_budget_that_covers_a_round_or_of_a_backend_without_rounds(
    backend: str, options: Mapping[str, Any], budget: Budget
) -> None:
    assert budget_note(line(27), Settings(backend=backend, options=options), budget) is None


@pytest.mark.parametrize(("high", "low", "eta"), [(27, 1, 3), (100, 1, 3), (30, 1, 2), (81, 2, 4)])
def test_what_is_said_to_fit_does_fit(high: int, low: int, eta: int) -> None:
    for n_trials in range(1, 200, 7):
        settings = Settings(backend="bohb")
        note = budget_note(line(high, low, eta), settings, Budget(trials=n_trials))
        if note is None:
            continue
        needed = int(note.split("trials=")[1].split(",")[0])
        assert budget_note(line(high, low, eta), settings, Budget(trials=needed)) is None
        assert budget_note(line(high, low, eta), settings, Budget(trials=needed - 1)) is not None
        if "fidelity.low=" in note:
            lower = int(note.split("fidelity.low=")[1].split("`")[0])
            assert len(Fidelity(high, lower, eta).rungs()) > 1
            assert budget_note(line(high, lower, eta), settings, Budget(trials=n_trials)) is None


def test_a_space_with_one_rung_has_no_round() -> None:
    assert budget_note(line(5, 5), Settings(backend="bohb"), Budget(trials=1)) is None
