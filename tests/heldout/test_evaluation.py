from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hpo.errors import StudyError, UserError
from hpo.heldout import ModelResult, evaluate
from hpo.loop.search import begin
from hpo.record import Budget, Settings, StudyFolder
from hpo.results import write_tables
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task, Validation
from hpo.space.domains import Categorical
from tests import toy
from trainables.regimes import from_scratch

SPACE = SearchSpace(
    "digits",
    {"lr": Categorical((1e-3, 1e-2, 5e-2))},
    Fidelity(4),
    Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits")),
    {"optimizer": "adam", "batch_size": 64},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished search of three trials on real images."""
    settings = Settings(backend="grid", runner="inline", devices="cpu")
    assert begin(tmp_path / "s", SPACE, settings, Budget(trials=5)) == "every configuration is trained"
    return tmp_path / "s"


def content(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "test.json").read_text())
    return loaded


def test_the_best_are_trained_again_over_seeds_and_tested(folder: Path) -> None:
    looks: list[ModelResult] = []
    result = evaluate(folder, top=2, seeds=3, watch=looks.append).to_json()
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


def test_a_trial_is_trained_again_to_its_stopping_epoch(folder: Path) -> None:
    entry = evaluate(folder).to_json()["results"][0]
    ledger = StudyFolder.reopen(folder).ledger(write=False)
    ledger.close()
    best = ledger.history.ranked()[0].best
    assert best is not None
    assert entry["stopping_epoch"] == best.fidelity
    assert entry["searched_loss"] == best.loss


def test_the_weights_of_the_search_give_its_own_validation_loss(folder: Path) -> None:
    entry = evaluate(folder, protocol="checkpoint").to_json()["results"][0]
    assert entry["val_loss"]["values"] == [entry["searched_loss"]]
    assert entry["test_accuracy"]["mean"] > 0.8


def test_looks_add_up_over_commands_and_a_result_is_replaced(folder: Path) -> None:
    evaluate(folder, seeds=1)
    evaluate(folder, seeds=2)
    assert content(folder)["looks"] == 3
    assert [entry["seeds"] for entry in content(folder)["results"]] == [[0, 1]]


def test_fewer_seeds_do_not_take_the_place_of_more(folder: Path) -> None:
    evaluate(folder, seeds=2)
    before = content(folder)
    with pytest.raises(UserError, match=r"is tested with 2 seeds already, .* --seeds 2 or more tests again"):
        evaluate(folder, seeds=1)
    assert content(folder) == before


def test_a_look_is_counted_even_if_the_test_is_killed_while_it_looks(folder: Path) -> None:
    class Killed(Exception):
        pass

    class Looking:
        def __init__(self, *arguments: Any) -> None:
            self.training = from_scratch.build(*arguments)

        def evaluate(self, part: object) -> None:
            raise Killed

        def __getattr__(self, name: str) -> Any:
            return getattr(self.training, name)

    with pytest.raises(Killed):
        evaluate(folder, seeds=3, trainable=Looking)
    assert content(folder)["looks"] == 1
    assert content(folder)["results"] == []


def test_a_test_that_was_cut_short_goes_on_from_its_checkpoints(folder: Path) -> None:
    def stop(look: ModelResult) -> None:
        raise KeyboardInterrupt

    whole = evaluate(folder, seeds=2).to_json()["results"]
    with pytest.raises(KeyboardInterrupt):
        evaluate(folder, seeds=2, watch=stop)
    assert list((folder / "retrained").glob("*.pt"))
    assert evaluate(folder, seeds=2).to_json()["results"] == whole
    assert not (folder / "retrained").exists()


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_training_that_diverges_with_another_seed_is_a_result_and_no_end(folder: Path, epoch: int) -> None:
    class Diverging:
        def __init__(self, *arguments: Any) -> None:
            self.training, self.epoch = from_scratch.build(*arguments), 0

        def step(self) -> dict[str, float]:
            self.epoch += 1
            metrics = dict(self.training.step())
            return metrics | ({"val_loss": math.nan, "val_accuracy": 0.0} if self.epoch == epoch else {})

        def __getattr__(self, name: str) -> Any:
            return getattr(self.training, name)

    entry = evaluate(folder, trainable=Diverging).to_json()["results"][0]
    if epoch == 1:
        assert (entry["test_accuracy"]["mean"], content(folder)["looks"]) == (None, 0)
    else:
        assert abs(entry["test_accuracy"]["mean"] - entry["val_accuracy"]["mean"]) < 0.15
        assert content(folder)["looks"] == 1


def test_a_trainable_that_cannot_be_tested_is_named_before_anything_is_trained(folder: Path) -> None:
    with pytest.raises(UserError, match=r"has no method `evaluate\(part\)`"):
        evaluate(folder, trainable=toy.Unexaminable)
    assert not (folder / "test.json").exists()
    assert not (folder / "retrained").exists()


def test_the_same_seeds_give_the_same_test(folder: Path) -> None:
    assert evaluate(folder, seeds=2).to_json()["results"] == evaluate(folder, seeds=2).to_json()["results"]


def test_test_results_stand_in_the_tables(folder: Path) -> None:
    evaluate(folder, seeds=2)
    write_tables(StudyFolder.reopen(folder))
    header = (folder / "best.csv").read_text().splitlines()[0].split(",")
    assert header[-4:] == ["test_accuracy", "test_accuracy_std", "test_loss", "test_seeds"]


def test_a_stopped_trial_has_no_weights_to_test(tmp_path: Path) -> None:
    settings = Settings(backend="random", runner="inline", devices="cpu")
    begin(tmp_path / "s", SPACE, settings, Budget(epochs=2))
    with pytest.raises(UserError, match="use --protocol retrain"):
        evaluate(tmp_path / "s", protocol="checkpoint")
    assert not (tmp_path / "s" / "test.json").exists()


def test_a_study_without_a_finite_loss_has_nothing_to_test(tmp_path: Path) -> None:
    begin(tmp_path / "s", SPACE, Settings(backend="random", runner="inline", devices="cpu"), Budget(trials=0))
    with pytest.raises(StudyError, match="nothing to test"):
        evaluate(tmp_path / "s")


def test_a_damaged_count_of_looks_is_an_error_and_no_fresh_start(folder: Path) -> None:
    (folder / "test.json").write_text('{"looks": "many"}')
    with pytest.raises(StudyError, match=r"test\.json: is damaged"):
        evaluate(folder)
    assert (folder / "test.json").read_text() == '{"looks": "many"}'


def test_a_part_that_stays_random_is_drawn_again_as_it_was_when_the_head_learned(tmp_path: Path) -> None:
    space = replace(SPACE, task=replace(SPACE.task, regime="linear_probe", model="small_cnn"), fidelity=Fidelity(6))
    begin(tmp_path / "s", space, Settings(backend="grid", runner="inline", devices="cpu"), Budget(trials=3))
    for protocol in ("checkpoint", "retrain"):
        entry = evaluate(tmp_path / "s", protocol=protocol).to_json()["results"][0]
        assert entry["val_accuracy"]["mean"] > 0.6
        assert abs(entry["test_accuracy"]["mean"] - entry["val_accuracy"]["mean"]) < 0.15


def test_held_out_images_have_the_form_and_the_classes_of_the_trial_that_is_tested(tmp_path: Path) -> None:
    halves = {"low": tuple("01234"), "high": tuple("56789")}
    task = replace(SPACE.task, model="logistic_regression", dataset=DatasetSpec("digits", groups=halves))
    space = replace(SPACE, task=task, domains={"image_size": Categorical((4, 8))}, fixed={"lr": 0.05})
    begin(tmp_path / "s", space, Settings(backend="grid", runner="inline", devices="cpu"), Budget(trials=2))
    results = evaluate(tmp_path / "s", top=2).to_json()["results"]
    assert {entry["config"]["image_size"] for entry in results} == {4, 8}
    for entry in results:
        assert entry["test_accuracy"]["mean"] > 0.7
        assert abs(entry["test_accuracy"]["mean"] - entry["val_accuracy"]["mean"]) < 0.1


def test_of_folds_the_mean_over_their_models_is_tested(tmp_path: Path) -> None:
    space = replace(SPACE, task=replace(SPACE.task, validation=Validation(folds=3)))
    begin(tmp_path / "s", space, Settings(backend="grid", runner="inline", devices="cpu"), Budget(trials=1))
    for protocol in ("checkpoint", "retrain"):
        entry = evaluate(tmp_path / "s", protocol=protocol).to_json()["results"][0]
        assert abs(entry["test_accuracy"]["mean"] - entry["val_accuracy"]["mean"]) < 0.1
    assert content(tmp_path / "s")["looks"] == 2


@pytest.mark.parametrize("rule", ["window", "patience"])
def test_a_training_that_is_repeated_goes_to_the_stopping_epoch_whatever_would_end_it(
    tmp_path: Path, rule: str
) -> None:
    class Curve:
        """Improves up to the last epoch, but when it is trained again, it only gets worse."""

        again = False
        trained: ClassVar[list[int]] = []

        def __init__(self, *arguments: Any) -> None:
            self.epoch = 0

        def step(self) -> dict[str, float]:
            self.epoch += 1
            self.trained.append(self.epoch)
            loss = self.epoch if self.again else 1 / self.epoch
            return {"val_loss": loss, "val_accuracy": 1 / (1 + loss)}

        def state_dict(self) -> dict[str, Any]:
            return {"epoch": self.epoch}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.epoch = state["epoch"]

        def evaluate(self, part: object) -> dict[str, float]:
            return {"loss": float(self.epoch), "accuracy": 0.5}

    settings = Settings(backend="grid", runner="inline", devices="cpu")
    begin(tmp_path / "s", replace(SPACE, fixed={rule: 1}), settings, Budget(trials=1), trainable=Curve)
    assert Curve.trained == [1, 2, 3, 4]
    Curve.again = True
    entry = evaluate(tmp_path / "s", trainable=Curve).to_json()["results"][0]
    assert Curve.trained == [1, 2, 3, 4, 1, 2, 3, 4]
    assert (entry["stopping_epoch"], entry["test_loss"]["mean"]) == (4, 4.0)


def test_val_error_is_tested_like_val_loss(tmp_path: Path) -> None:
    space = replace(SPACE, objective="val_error")
    begin(tmp_path / "s", space, Settings(backend="grid", runner="inline", devices="cpu"), Budget(trials=1))
    entry = evaluate(tmp_path / "s", protocol="checkpoint").to_json()["results"][0]
    assert entry["searched_loss"] == pytest.approx(1 - entry["val_accuracy"]["mean"])
