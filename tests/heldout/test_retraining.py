"""Retraining the best trials, and loading the models of the search."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hpo.errors import UserError
from hpo.heldout import ModelResult, Plan, evaluate
from hpo.heldout.retraining import RetrainedEpoch, load_from_search, retrain, stopping_epoch
from hpo.loop import Session, begin
from hpo.record import Budget, Settings, StudyFolder, Trial
from hpo.space import DatasetSpec, Fidelity, Task
from hpo.space.domains import Categorical
from hpo.training import Job
from tests.heldout.studies import SETTINGS, SPACE, content, searched
from trainables.regimes import from_scratch, frozen_fc


def ranked(folder: Path) -> tuple[StudyFolder, list[Trial]]:
    """A study and its trials, the best first."""
    study = StudyFolder.reopen(folder)
    return study, study.history()[0].ranked()


def test_the_models_of_the_search_are_loaded_best_first_with_their_metrics(folder: Path) -> None:
    study, trials = ranked(folder)
    models = list(load_from_search(study, trials[:2]))
    assert [model.trial.number for model in models] == [trial.number for trial in trials[:2]]
    assert [model.validation["val_loss"] for model in models] == [trial.loss for trial in trials[:2]]
    assert [model.is_first for model in models] == [True, False]
    assert all(model.checkpoint.exists() for model in models)


def test_each_start_and_each_epoch_of_a_retraining_is_told(folder: Path) -> None:
    study, trials = ranked(folder)
    told: list[RetrainedEpoch] = []
    job = Job(study.space, study.settings.seed, study.data)
    done = [(trials[0].number, 0)]
    models = list(retrain(study, job, trials[:1], 3, done, told.append))
    assert [model.seed for model in models] == [1, 2]
    for number, seed in ((1, 1), (2, 2)):
        of_training = [each for each in told if each.number == number]
        n_epochs = stopping_epoch(trials[0])
        assert [each.epoch for each in of_training] == list(range(n_epochs + 1))
        assert {(each.trial, each.seed, each.n_trainings) for each in of_training} == {(trials[0].number, seed, 2)}
        assert {each.n_epochs for each in of_training} == {n_epochs}


def test_each_trial_is_retrained_with_each_seed_and_one_model_is_the_first(folder: Path) -> None:
    study, trials = ranked(folder)
    job = Job(study.space, study.settings.seed, study.data)
    models = list(retrain(study, job, trials[:2], seeds=2))
    assert {(model.trial.number, model.seed) for model in models} == {
        (trial.number, seed) for trial in trials[:2] for seed in (0, 1)
    }
    assert [(model.trial.number, model.seed) for model in models if model.is_first] == [(trials[0].number, 0)]
    assert len({model.build_seed for model in models}) == len({model.checkpoint for model in models}) == 4
    assert len({model.validation["val_loss"] for model in models}) == 4


def test_the_stopping_epoch_is_that_of_the_lowest_loss(folder: Path) -> None:
    for trial in ranked(folder)[1]:
        losses = [report.loss for report in trial.reports]
        assert stopping_epoch(trial) == 1 + losses.index(min(losses))


def test_a_trial_is_trained_again_to_its_stopping_epoch(folder: Path) -> None:
    entry = evaluate(folder).to_json()["results"][0]
    ledger = StudyFolder.reopen(folder).ledger(write=False)
    ledger.close()
    best = ledger.history.ranked()[0].best
    assert best is not None
    assert entry["stopping_epoch"] == best.fidelity
    assert entry["searched_loss"] == best.loss


def test_the_weights_of_the_search_give_its_own_validation_loss(folder: Path) -> None:
    entry = evaluate(folder, Plan(protocol="checkpoint")).to_json()["results"][0]
    assert entry["val_loss"]["values"] == [entry["searched_loss"]]
    assert entry["test_accuracy"]["mean"] > 0.8


def test_a_stopped_trial_has_no_weights_to_test(tmp_path: Path) -> None:
    settings = Settings(backend="random", runner="inline", devices="cpu")
    begin(tmp_path / "s", SPACE, settings, Budget(epochs=2))
    with pytest.raises(UserError, match="use the protocol retrain"):
        evaluate(tmp_path / "s", Plan(protocol="checkpoint"))
    assert not (tmp_path / "s" / "test.json").exists()


def test_a_test_that_was_cut_short_goes_on_from_its_checkpoints(folder: Path) -> None:
    def stop(look: ModelResult) -> None:
        raise KeyboardInterrupt

    whole = evaluate(folder, Plan(seeds=2)).to_json()["results"]
    (folder / "test.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        evaluate(folder, Plan(seeds=2), watch=stop)
    assert list((folder / "retrained").glob("*.pt"))
    assert evaluate(folder, Plan(seeds=2)).to_json()["results"] == whole
    assert not (folder / "retrained").exists()


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_training_that_diverges_with_another_seed_is_a_result_and_no_end(tmp_path: Path, epoch: int) -> None:
    class Diverging:
        again = False

        def __init__(self, *arguments: Any) -> None:
            self.training, self.epoch = from_scratch.build(*arguments), 0

        def step(self) -> dict[str, float]:
            self.epoch += 1
            metrics = dict(self.training.step())
            return metrics | ({"val_loss": math.nan, "val_accuracy": 0.0} if self.again and self.epoch == epoch else {})

        def __getattr__(self, name: str) -> Any:
            return getattr(self.training, name)

    folder = searched(tmp_path / "s", trainable=Diverging)
    Diverging.again = True
    entry = evaluate(folder, trainable=Diverging).to_json()["results"][0]
    if epoch == 1:
        assert (entry["test_accuracy"]["mean"], content(folder)["looks"]) == (None, 0)
    else:
        assert abs(entry["test_accuracy"]["mean"] - entry["val_accuracy"]["mean"]) < 0.15
        assert content(folder)["looks"] == 1


def test_the_same_seeds_give_the_same_test(folder: Path) -> None:
    first = evaluate(folder, Plan(seeds=2)).to_json()
    (folder / "test.json").unlink()
    assert evaluate(folder, Plan(seeds=2)).to_json() == first


def test_a_part_that_stays_random_is_drawn_again_as_it_was_when_the_head_learned(tmp_path: Path) -> None:
    space = replace(SPACE, task=replace(SPACE.task, regime="linear_probe", model="small_cnn"), fidelity=Fidelity(6))
    begin(tmp_path / "s", space, SETTINGS, Budget(trials=3))
    for protocol in ("checkpoint", "retrain"):
        entry = evaluate(tmp_path / "s", Plan(protocol=protocol)).to_json()["results"][0]
        assert entry["val_accuracy"]["mean"] > 0.6
        assert abs(entry["test_accuracy"]["mean"] - entry["val_accuracy"]["mean"]) < 0.15


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

    begin(tmp_path / "s", replace(SPACE, fixed={rule: 1}), SETTINGS, Budget(trials=1), session=Session(Curve))
    assert Curve.trained == [1, 2, 3, 4]
    Curve.again = True
    entry = evaluate(tmp_path / "s", trainable=Curve).to_json()["results"][0]
    assert Curve.trained == [1, 2, 3, 4, 1, 2, 3, 4]
    assert (entry["stopping_epoch"], entry["test_loss"]["mean"]) == (4, 4.0)


@pytest.mark.parametrize("protocol", ["checkpoint", "retrain"])
def test_a_head_that_stays_as_random_as_it_began_is_tested_as_it_was_trained(tmp_path: Path, protocol: str) -> None:
    losses: list[float] = []

    def build(config: Any, model: Any, data: Any, device: str) -> Any:
        training: Any = frozen_fc.build({**config, "train_head": False}, model, data, device)
        whole = training.evaluate

        def evaluate(part: Any) -> Any:
            losses.append(whole(data.validation)["loss"])
            return whole(part)

        training.evaluate = evaluate
        return training

    domains = {"lr": Categorical((1e-2,))}
    space = replace(
        SPACE, domains=domains, task=Task(model="small_cnn", dataset=DatasetSpec("digits")), fixed={"width": 4}
    )
    folder = searched(tmp_path / "s", space, trainable=build)
    looks: list[ModelResult] = []
    evaluate(folder, Plan(protocol=protocol), trainable=build, watch=looks.append)
    assert losses[-1] == pytest.approx(looks[0].validation["val_loss"])
