from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import SEARCH, Hpo


@pytest.fixture
def random_study(hpo: Hpo) -> Hpo:
    """Types a command, after a random search of the toy under the name `s`."""
    result = hpo(*SEARCH[:-1], 6, "--study", "s")
    assert result.exit_code == 0, result.output
    return hpo


def test_a_replay_says_what_the_backend_would_have_saved(random_study: Hpo) -> None:
    result = random_study("replay", "s", "--backend", "random")
    assert result.exit_code == 0, result.output
    assert "s: 6 trials with 54 epochs by random; the best val_loss is " in result.output
    for words in ("as it was run", "random, median", "epochs to best", "to within 5 %", "best after 54 epochs"):
        assert words in result.output
    assert "To the best value random needed" in result.output
    assert "knows the 6 recorded configurations and no other" in result.output


def test_a_replay_takes_options_seeds_slots_and_epochs(random_study: Hpo) -> None:
    options = ("--option", "sampler=random", "--option", "pruner=sha", "--seeds", 2, "--slots", 3, "--epochs", 20)
    result = random_study("replay", "s", "--backend", "optuna", *options, "--format", "json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["search"], row["seed"]) for row in rows] == [("study", None), ("optuna", 0), ("optuna", 1)]
    assert all(row["epochs"] <= 20 for row in rows[1:])
    assert "recorded configurations" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("replay", "t", "--backend", "random"), "no study 't' in"),
        (("replay", "s"), "Missing option '--backend'"),
        (("replay", "s", "--backend", "bobh"), "did you mean 'bohb'"),
        (("replay", "s", "--backend", "random", "--option", "sampler=gp"), "'sampler'"),
        (("replay", "s", "--backend", "random", "--option", "sampler"), "write it as name=value"),
        (("replay", "s", "--backend", "grid"), "points"),
        (("replay", "s", "--backend", "random", "--format", "cvs"), "did you mean 'csv'"),
        (("replay", "s", "--backend", "random", "--seeds", "0"), "--seeds"),
        (("replay", "s", "--backend", "random", "--slots", "0"), "--slots"),
        (("replay", "s", "--backend", "random", "--epochs", "0"), "--epochs"),
    ],
)
def test_wrong_input_is_a_plain_error(random_study: Hpo, words: tuple[str, ...], message: str) -> None:
    result = random_study(*words)
    assert result.exit_code == 2, (result.output, result.exception)
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_study_of_one_trial_cannot_be_replayed(hpo: Hpo, tmp_path: Path) -> None:
    assert hpo(*SEARCH, "--study", "s").exit_code == 0
    result = hpo("replay", "s", "--backend", "random")
    assert result.exit_code == 2
    assert "a replay needs at least 2; `hpo resume s` goes further" in result.output
