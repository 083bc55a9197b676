"""A training in which nothing is random is tested once, and has no spread over seeds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.heldout import Plan, evaluate, randomness
from hpo.record import StudyFolder
from hpo.results import status
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical
from tests.heldout.studies import SPACE, content, searched

FIXED = SearchSpace(
    "closed",
    {"method": Categorical(("nearest_mean", "ridge"))},
    Fidelity(1),
    Task("closed_form", "softmax_regression", dataset=DatasetSpec("digits")),
)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    return searched(tmp_path / "s", FIXED)


def test_a_closed_form_trial_is_tested_once_and_has_no_spread(closed: Path) -> None:
    notes: list[str] = []
    record = evaluate(closed, Plan(top=2, seeds=3), notify=notes.append)
    assert record.n_looks == 2
    assert [(len(each.seeds), each.test_accuracy.std) for each in record.trials] == [(1, None)] * 2
    assert any(note.startswith("nothing is random in the training of trials ") for note in notes)
    text = "\n".join(status.test_lines(record))
    assert "±" not in text
    assert "(nothing is random, retrain, 1 epoch)" in text
    assert "95 % interval on other images: " in text
    assert "More seeds" not in text
    again = evaluate(closed, Plan(top=2))
    assert again.n_looks == 2


def test_repeated_results_of_an_earlier_version_are_not_kept(closed: Path) -> None:
    evaluate(closed)
    written = content(closed)
    (result,) = written["results"]
    result["seeds"] = [0, 1]
    for value in result.values():
        if isinstance(value, dict) and "values" in value:
            value |= {"std": 0.0, "values": value["values"] * 2}
    (closed / "test.json").write_text(json.dumps(written))
    record = evaluate(closed)
    assert record.trials[0].seeds == [0]
    assert (record.trials[0].test_accuracy.std, record.n_looks) == (None, 1)


@pytest.mark.parametrize(
    ("task", "is_random"),
    [
        ({}, False),
        ({"model": "small_cnn"}, True),  # its frozen weights are drawn from the seed
        ({"model": "small_cnn", "weights": "w.pt"}, False),
        ({"regime": "linear_probe"}, True),
        ({"regime": "gone.regime"}, True),
    ],
)
def test_what_is_random_follows_from_the_regime_and_the_weights(
    closed: Path, task: dict[str, Any], is_random: bool
) -> None:
    study = StudyFolder.reopen(closed)
    study.space = replace(FIXED, task=replace(FIXED.task, **task))
    assert randomness.is_random(study, {}) is is_random
    assert randomness.is_random(study, {"regime": "linear_probe"})


def test_a_training_from_scratch_is_random(tmp_path: Path) -> None:
    assert randomness.is_random(StudyFolder.reopen(searched(tmp_path / "s", SPACE, trials=1)), {})
