"""The test of the best trials on held-out data, and the looks that it counts."""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hpo.errors import StudyError, UserError
from hpo.heldout import ModelResult, Plan, evaluate, record
from hpo.heldout.trial_result import combine
from hpo.loop.search import begin
from hpo.record import Budget, Settings, StudyFolder, Trial
from hpo.results import status, write_tables
from hpo.space import DatasetSpec, Validation
from hpo.space.domains import Categorical
from tests import toy
from tests.heldout.studies import SETTINGS, SPACE, content, searched
from trainables.regimes import from_scratch


def best_of(folder: Path) -> Trial:
    return StudyFolder.reopen(folder).history()[0].ranked()[0]


def record_of(folder: Path) -> record.TestRecord:
    return record.TestRecord.read(StudyFolder.reopen(folder))


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


def test_a_test_keeps_what_was_tested_and_looks_only_at_the_rest(folder: Path) -> None:
    def test(**options: Any) -> tuple[list[tuple[int, int]], list[tuple[int, int]], int]:
        """The models that were looked at, those that were kept, and the number of looks in all."""
        looks: list[ModelResult] = []
        tested = evaluate(folder, Plan(**options), watch=looks.append)
        looked, kept = ([(each.trial, each.seed) for each in found] for found in (looks, tested.kept))
        return looked, kept, tested.n_looks

    history, _ = StudyFolder.reopen(folder).history()
    first, second = (trial.number for trial in history.ranked()[:2])
    assert test(top=1) == ([(first, 0)], [], 1)
    before = content(folder)
    assert test(top=1) == ([], [(first, 0)], 1)
    assert content(folder) == before
    assert test(top=2) == ([(second, 0)], [(first, 0)], 2)
    looked, kept, n_looks = test(top=2, seeds=2)
    assert (sorted(looked), sorted(kept), n_looks) == (
        sorted([(first, 1), (second, 1)]),
        sorted([(first, 0), (second, 0)]),
        4,
    )
    combined = content(folder)["results"]
    (folder / "test.json").unlink()
    assert test(top=2, seeds=2)[2] == 4
    assert content(folder)["results"] == combined
    assert test(top=1, protocol="checkpoint")[1:] == ([], 5)
    assert test(top=2, protocol="checkpoint")[1:] == ([(first, 0)], 6)


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


N_HELD_OUT = 360


class Failing:
    """A training whose `evaluate` fails on the part of the size that the environment names, or returns nonsense."""

    def __init__(self, *arguments: Any) -> None:
        self.training: Any = from_scratch.build(*arguments)

    def evaluate(self, part: Any) -> Any:
        if os.environ.get("FAIL_ON") == str(len(part)):
            raise ZeroDivisionError("no such luck")
        found = self.training.evaluate(part)
        return {"loss": found["loss"]} if "NO_ACCURACY" in os.environ else found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.training, name)


def test_a_look_that_was_interrupted_is_counted_once_and_gets_its_result_from_the_next_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = searched(tmp_path / "s", trials=2, trainable=Failing)
    monkeypatch.setenv("FAIL_ON", str(N_HELD_OUT))
    with pytest.raises(UserError, match="cannot be evaluated on the held-out part: ZeroDivisionError: no such luck"):
        evaluate(folder, Plan(seeds=2), trainable=Failing)
    interrupted = content(folder)
    assert (interrupted["looks"], interrupted["results"]) == (1, [])
    assert [(each["seed"], each["protocol"]) for each in interrupted["unfinished_looks"]] == [(0, "retrain")]
    said = "1 look had no result: the test was interrupted. A test with the same model and packages finishes it."
    assert said in status.test_lines(record_of(folder))
    shown = [line for line in status.lines(folder) if line.startswith("test")]
    assert shown[0] == "tested   no trial yet; 1 look at held-out data"
    assert shown[1].startswith("test     interrupted, 1 look without a result: the same `hpo test s")
    monkeypatch.delenv("FAIL_ON")
    assert evaluate(folder, Plan(seeds=2), trainable=Failing).n_looks == 2
    assert "unfinished_looks" not in content(folder)
    (tested,) = [line for line in status.lines(folder) if line.startswith("test")]
    assert tested.endswith("with 2 seeds; 2 looks at held-out data")


def test_another_look_than_the_interrupted_one_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = searched(tmp_path / "s", trials=1, trainable=Failing)
    monkeypatch.setenv("FAIL_ON", str(N_HELD_OUT))
    with pytest.raises(UserError):
        evaluate(folder, trainable=Failing)
    monkeypatch.delenv("FAIL_ON")
    tested = evaluate(folder, Plan(protocol="checkpoint"), trainable=Failing)
    assert (tested.n_looks, len(tested.unfinished)) == (2, 1)


class Unseeded:
    """A training that gives other weights each time, as trainings on a GPU do."""

    looked_at: ClassVar[set[float]] = set()

    def __init__(self, *arguments: Any) -> None:
        self.weight = random.SystemRandom().random()

    def step(self) -> dict[str, float]:
        return {"val_loss": self.weight, "val_accuracy": 0.5}

    def state_dict(self) -> dict[str, Any]:
        return {"weight": self.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weight = state["weight"]

    def evaluate(self, part: Any) -> dict[str, float]:
        if len(part) == N_HELD_OUT:
            self.looked_at.add(self.weight)
        if os.environ.get("FAIL_ON") == str(len(part)):
            raise ZeroDivisionError("no such luck")
        return {"loss": self.weight, "accuracy": 0.5}


@pytest.mark.parametrize("is_removed", [False, True])
def test_each_training_that_is_looked_at_is_counted_though_its_configuration_and_seed_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_removed: bool
) -> None:
    folder = searched(tmp_path / "s", trials=1, trainable=Unseeded)
    Unseeded.looked_at.clear()
    for _ in range(3):
        monkeypatch.setenv("FAIL_ON", str(N_HELD_OUT))
        with pytest.raises(UserError):
            evaluate(folder, trainable=Unseeded)
        monkeypatch.delenv("FAIL_ON")
        evaluate(folder, Plan(protocol="checkpoint"), trainable=Unseeded)
        assert list((folder / "retrained").glob("*.pt"))
        if is_removed:
            shutil.rmtree(folder / "retrained")
    tested = evaluate(folder, trainable=Unseeded)
    n_retrained = 4 if is_removed else 1
    assert tested.n_looks == len(Unseeded.looked_at) == n_retrained + 1
    assert len(tested.unfinished) == n_retrained - 1
    assert not (folder / "retrained").exists()


def test_a_test_deletes_no_checkpoint_of_a_model_that_it_does_not_test(folder: Path) -> None:
    def stop(result: ModelResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(folder, Plan(seeds=2), watch=stop)
    (left,) = (folder / "retrained").glob("*000.pt")
    renamed = left.rename(left.with_name(left.name.replace("000.pt", "007.pt")))
    evaluate(folder)
    assert list((folder / "retrained").glob("*.pt")) == [renamed]


@pytest.mark.parametrize(
    ("variable", "words"),
    [("FAIL_ON", r"on the validation part: .*test_evaluation\.py, line \d+\)"), ("NO_ACCURACY", "no 'accuracy'")],
)
def test_code_that_cannot_evaluate_the_validation_part_costs_no_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, words: str
) -> None:
    folder = searched(tmp_path / "s", trials=1, trainable=Failing)
    monkeypatch.setenv(variable, "287")
    with pytest.raises(UserError, match=words):
        evaluate(folder, trainable=Failing)
    assert not (folder / "test.json").exists()


def test_each_result_is_on_the_disk_as_soon_as_its_model_is_tested(folder: Path) -> None:
    class Killed(Exception):
        pass

    def watch(result: ModelResult) -> None:
        looks.append(result)
        written = content(folder)
        models = [(each["trial"], seed) for each in written["results"] for seed in each["seeds"]]
        assert sorted(models) == sorted((each.trial, each.seed) for each in looks)
        assert written["looks"] == len(looks)
        if len(looks) == 3:
            raise Killed

    looks: list[ModelResult] = []
    with pytest.raises(Killed):
        evaluate(folder, Plan(top=2, seeds=2), watch=watch)
    tested = evaluate(folder, Plan(top=2, seeds=2))
    assert (len(tested.kept), tested.n_looks) == (3, 4)


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
    begin(tmp_path / "s", SPACE, Settings(backend="random", runner="inline", devices="cpu"), Budget(trials=0))
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
