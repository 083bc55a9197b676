"""The test of the best trials on held-out data: which models are tested."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import StudyError, UserError
from hpo.heldout import ModelResult, Plan, evaluate
from hpo.heldout.trial_result import combine
from hpo.loop import begin
from hpo.record import Budget, Settings, StudyFolder, Trial
from hpo.results import status, write_tables
from hpo.space import DatasetSpec, Validation
from hpo.space.domains import Categorical
from tests import toy
from tests.heldout.studies import SETTINGS, SPACE, content, record_of, searched


def best_of(folder: Path) -> Trial:
    return StudyFolder.reopen(folder).history()[0].ranked()[0]


def test_the_best_are_trained_again_over_seeds_and_tested(folder: Path) -> None:
    looks: list[ModelResult] = []
    result = evaluate(folder, Plan(top=2, seeds=3), watch=looks.append).to_json()
    assert result == content(folder)
    assert result["looks"] == len(looks) == 6
    ledger = StudyFolder.reopen(folder).ledger(write=False)
    ledger.close()
    ranked = ledger.history.ranked()
    assert [entry["trial"] for entry in result["results"]] == [trial.number for trial in ranked[:2]]
    for entry in result["results"]:
        assert len(set(entry["test_loss"]["values"])) == 3
        assert entry["test_accuracy"]["mean"] == pytest.approx(sum(entry["test_accuracy"]["values"]) / 3)
        assert entry["test_accuracy"]["std"] > 0 or len(set(entry["test_accuracy"]["values"])) == 1
        assert 0.8 < entry["test_accuracy"]["mean"] < 1
        assert abs(entry["test_accuracy"]["mean"] - entry["val_accuracy"]["mean"]) < 0.15


@pytest.mark.parametrize("changed", [{"stopping_epoch": 1}, {"versions": {"torch": "1.0"}}, {"config": {"lr": 9}}])
def test_a_result_of_another_training_is_not_kept(folder: Path, changed: dict[str, Any]) -> None:
    evaluate(folder)
    written = content(folder)
    written["results"][0] |= changed
    (folder / "test.json").write_text(json.dumps(written))
    tested = evaluate(folder, Plan(seeds=2))
    assert (tested.kept, tested.n_looks) == ([], 3)
    assert status.test_lines(tested)[-1] == "The held-out data of this study has been looked at 3 times."


def test_the_closing_lines_say_what_was_kept(folder: Path) -> None:
    evaluate(folder)
    (*_, kept, looks) = status.test_lines(evaluate(folder))
    assert kept.startswith("Kept from an earlier test, neither trained nor looked at again: trial ")
    assert looks == "The held-out data of this study has been looked at 1 time."


def test_the_seeds_that_are_asked_for_are_tested_though_an_interrupted_test_left_others(folder: Path) -> None:
    evaluate(folder, Plan(seeds=3))
    trial = record_of(folder).trials[0]
    left = record_of(folder)
    left.trials = [
        combine(best_of(folder), "retrain", trial.stopping_epoch, trial.models()[1:])
    ]  # slots end in any order
    left.write()
    (folder / "tested_model.pt").unlink()
    looks: list[ModelResult] = []
    tested = evaluate(folder, Plan(seeds=2), watch=looks.append)
    assert [each.seed for each in looks] == [0]
    assert (tested.trials[0].seeds, tested.n_looks) == ([0, 1, 2], 4)
    assert (folder / "tested_model.pt").exists()
    number = trial.trial
    assert any(f"again: trial {number} seed 1, trial {number} seed 2." in line for line in status.test_lines(tested))


def test_fewer_seeds_do_not_take_the_place_of_more(folder: Path) -> None:
    evaluate(folder, Plan(seeds=2))
    before = content(folder)
    with pytest.raises(UserError, match=r"is tested with 2 seeds already, .* test again with 2 seeds or more"):
        evaluate(folder, Plan(seeds=1))
    assert content(folder) == before


def test_a_test_deletes_no_checkpoint_of_a_model_that_it_does_not_test(folder: Path) -> None:
    def stop(result: ModelResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(folder, Plan(seeds=2), watch=stop)
    (left,) = (folder / "retrained").glob("*000.pt")
    renamed = left.rename(left.with_name(left.name.replace("000.pt", "007.pt")))
    evaluate(folder)
    assert list((folder / "retrained").glob("*.pt")) == [renamed]


def test_a_trainable_that_cannot_be_tested_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", trainable=toy.Unexaminable)
    with pytest.raises(UserError, match=r"has no method `evaluate\(part\)`"):
        evaluate(folder, trainable=toy.Unexaminable)
    assert not (folder / "test.json").exists()
    assert not (folder / "retrained").exists()


def test_test_results_stand_in_the_tables(folder: Path) -> None:
    evaluate(folder, Plan(seeds=2))
    write_tables(StudyFolder.reopen(folder))
    header = (folder / "best.csv").read_text().splitlines()[0].split(",")
    others = ["test_balanced_accuracy", "test_f1", "test_auroc"]
    assert header[-7:] == ["test_accuracy", "test_accuracy_std", "test_loss", "test_seeds", *others]


def test_a_study_without_a_finite_loss_has_nothing_to_test(tmp_path: Path) -> None:
    begin(tmp_path / "s", SPACE, Settings(backend="random", runner="inline", devices="cpu"), Budget(seconds=1e-9))
    with pytest.raises(StudyError, match="nothing to test"):
        evaluate(tmp_path / "s")


def test_held_out_images_have_the_form_and_the_classes_of_the_trial_that_is_tested(tmp_path: Path) -> None:
    halves = {"low": tuple("01234"), "high": tuple("56789")}
    task = replace(SPACE.task, model="logistic_regression", dataset=DatasetSpec("digits", merged_classes=halves))
    space = replace(SPACE, task=task, domains={"image_size": Categorical((4, 8))}, fixed={"lr": 0.05})
    begin(tmp_path / "s", space, SETTINGS, Budget(trials=2))
    results = evaluate(tmp_path / "s", Plan(top=2)).to_json()["results"]
    assert {entry["config"]["image_size"] for entry in results} == {4, 8}
    for entry in results:
        assert entry["test_accuracy"]["mean"] > 0.65
        assert abs(entry["test_accuracy"]["mean"] - entry["val_accuracy"]["mean"]) < 0.1


def test_of_folds_the_mean_over_their_models_is_tested(tmp_path: Path) -> None:
    space = replace(SPACE, task=replace(SPACE.task, validation=Validation(folds=3)))
    begin(tmp_path / "s", space, SETTINGS, Budget(trials=1))
    for protocol in ("checkpoint", "retrain"):
        entry = evaluate(tmp_path / "s", Plan(protocol=protocol)).to_json()["results"][0]
        assert abs(entry["test_accuracy"]["mean"] - entry["val_accuracy"]["mean"]) < 0.1
    assert content(tmp_path / "s")["looks"] == 2


def test_val_error_is_tested_like_val_loss(tmp_path: Path) -> None:
    space = replace(SPACE, objective="val_error")
    begin(tmp_path / "s", space, SETTINGS, Budget(trials=1))
    entry = evaluate(tmp_path / "s", Plan(protocol="checkpoint")).to_json()["results"][0]
    assert entry["searched_loss"] == pytest.approx(1 - entry["val_accuracy"]["mean"])
