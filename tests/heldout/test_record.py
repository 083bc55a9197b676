"""The content of `test.json`."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import StudyError
from hpo.heldout import ModelResult, Plan, Spread, TrialResult, evaluate, record
from hpo.heldout.trial_result import combine
from hpo.record import Budget, StudyFolder, Trial
from hpo.trial import Report
from tests.heldout.studies import SETTINGS, SPACE, content

TRIAL = Trial(3, {"lr": 0.1}, until=2, bracket=0, notes={}, reports=[Report(3, 1, 0.5, {"val_loss": 0.5}, 0.0)])

UNFINISHED = '{"looks": 1, "unfinished_looks": [3], "results": []}'


def result(trial: int, loss: float, accuracy: float) -> TrialResult:
    """The test result of a trial with one seed."""
    at = replace(TRIAL, number=trial, reports=[Report(trial, 1, loss, {}, 0.0)])
    return combine(at, "retrain", 1, [ModelResult(trial, 0, {}, {"loss": loss, "accuracy": accuracy})])


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A study in an empty folder."""
    return StudyFolder(tmp_path, SPACE, SETTINGS, Budget())


def test_a_spread_has_the_mean_and_the_sample_deviation() -> None:
    spread = Spread.of([1.0, 2.0, 3.0])
    assert (spread.mean, spread.std) == (2.0, 1.0)
    assert Spread.of([0.5]) == (0.5, None, [0.5])


def test_a_spread_with_a_value_that_is_not_finite_has_no_mean() -> None:
    spread = Spread.of([1.0, math.nan])
    assert not spread.is_finite
    assert spread.to_json() == {"mean": None, "std": None, "values": [1.0, None]}
    again = Spread.from_json(spread.to_json())
    assert not again.is_finite
    assert again.to_json() == spread.to_json()


def test_the_models_of_a_trial_are_combined_in_the_order_of_their_seeds() -> None:
    results = [ModelResult(3, seed, {"val_loss": seed}, {"loss": 2.0 * seed, "accuracy": 0.5}) for seed in (1, 0)]
    combined = combine(TRIAL, "retrain", 1, results)
    assert (combined.trial, combined.seeds, combined.searched_loss) == (3, [0, 1], 0.5)
    assert combined.val_loss.values == [0, 1]
    assert combined.test_loss.values == [0.0, 2.0]
    assert not combined.val_accuracy.is_finite


def test_a_study_that_was_not_tested_has_an_empty_record(study: StudyFolder) -> None:
    empty = record.TestRecord.read(study)
    assert (empty.n_looks, empty.trials) == (0, [])
    with pytest.raises(StudyError, match=r"nothing of study .* was tested: run `hpo test"):
        empty.finite()


def test_a_look_is_on_the_disk_as_soon_as_it_begins_and_is_not_counted_again_if_it_was_interrupted(
    study: StudyFolder,
) -> None:
    look = {"trial": 3, "seed": 0, "config": {"lr": 0.1, "layers": [1, 2]}}
    record.TestRecord(study, 4).begin_look(look)
    assert content(study.folder)["looks"] == record.TestRecord.read(study).n_looks == 5
    assert content(study.folder)["unfinished_looks"] == [look]
    again = record.TestRecord.read(study)
    again.begin_look(look)
    again.begin_look({**look, "seed": 1})
    assert (again.n_looks, len(again.unfinished)) == (6, 2)
    again.end_look(look)
    again.write()
    assert content(study.folder)["unfinished_looks"] == [{**look, "seed": 1}]
    again.begin_look(look)
    assert again.n_looks == 7


def test_what_is_written_is_read_again(study: StudyFolder) -> None:
    written = record.TestRecord(study, 2, [result(0, 0.4, 0.9), result(1, 0.6, math.nan)])
    written.write()
    assert record.TestRecord.read(study).to_json() == written.to_json() == content(study.folder)


def test_the_finite_results_are_in_the_order_of_the_search(study: StudyFolder) -> None:
    tested = record.TestRecord(study, 3, [result(0, 0.6, 0.9), result(1, 0.4, 0.8), result(2, 0.1, math.nan)])
    assert [each.trial for each in tested.finite()] == [1, 0]
    tested.trials = [result(2, 0.1, math.nan)]
    with pytest.raises(StudyError, match=r"no tested trial of study .* has a finite test accuracy"):
        tested.finite()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"looks": 1, "results": [{"trial": 0}]}', UNFINISHED])
def test_a_damaged_record_is_a_study_error(study: StudyFolder, text: str) -> None:
    (study.folder / "test.json").write_text(text)
    with pytest.raises(StudyError, match=r"test\.json: is damaged"):
        record.TestRecord.read(study)


def test_looks_add_up_over_commands_and_a_result_is_replaced(folder: Path) -> None:
    evaluate(folder, Plan(protocol="checkpoint"))
    evaluate(folder, Plan(seeds=2))
    assert content(folder)["looks"] == 3
    assert [entry["seeds"] for entry in content(folder)["results"]] == [[0, 1]]


def test_a_result_gives_the_results_of_its_models_again(study: StudyFolder) -> None:
    models = [
        ModelResult(3, seed, {"val_loss": 0.5, "val_accuracy": 0.25}, {"loss": 2.0 * seed, "accuracy": 0.5})
        for seed in (0, 1)
    ]
    record.TestRecord(study, 2, [combine(TRIAL, "retrain", 1, models)]).write()
    assert record.TestRecord.read(study).trials[0].models() == models


def test_a_result_holds_the_spreads_of_all_metrics_that_each_model_has(study: StudyFolder) -> None:
    validation = {"val_loss": 0.5, "val_accuracy": 0.25, "val_f1": 0.3, "train_loss": 0.1}
    models = [
        ModelResult(
            3, seed, validation, {"loss": 1.0, "accuracy": 0.5, "f1": 0.2 + seed, **({"auroc": 1} if seed else {})}
        )
        for seed in (0, 1)
    ]
    record.TestRecord(study, 2, [combine(TRIAL, "retrain", 1, models)]).write()
    (tested,) = record.TestRecord.read(study).trials
    assert tested.metrics.keys() == {"val_f1", "test_f1"}
    assert tested.metrics["test_f1"].mean == pytest.approx(0.7)
    assert tested.metrics["val_f1"].std == 0
    assert tested.models()[1].held_out == {"loss": 1.0, "accuracy": 0.5, "f1": 1.2}
    assert content(study.folder)["results"][0]["test_f1"]["values"] == [0.2, 1.2]


def test_a_damaged_count_of_looks_is_an_error_and_no_fresh_start(folder: Path) -> None:
    (folder / "test.json").write_text('{"looks": "many"}')
    with pytest.raises(StudyError, match=r"test\.json: is damaged"):
        evaluate(folder)
    assert (folder / "test.json").read_text() == '{"looks": "many"}'


def test_results_of_equal_loss_are_in_the_order_of_the_search_too(study: StudyFolder) -> None:
    at = [
        replace(TRIAL, number=n, objective="val_error", reports=[Report(n, 1, 0.5, {"val_loss": loss}, 0.0)])
        for n, loss in enumerate([0.9, math.nan, 0.7])
    ]
    models = [[ModelResult(trial.number, 0, {}, {"loss": 1.0, "accuracy": 0.5})] for trial in at]
    written = record.TestRecord(
        study, 3, [combine(trial, "retrain", 1, each) for trial, each in zip(at, models, strict=True)]
    )
    written.write()
    assert [each.trial for each in record.TestRecord.read(study).finite()] == [2, 0, 1]


def test_a_result_without_the_validation_loss_of_the_search_is_read(study: StudyFolder) -> None:
    record.TestRecord(study, 1, [result(0, 0.4, 0.9)]).write()
    older = content(study.folder)
    del older["results"][0]["searched_val_loss"]
    (study.folder / "test.json").write_text(json.dumps(older))
    assert record.TestRecord.read(study).trials[0].rank == (0.4, math.inf)
