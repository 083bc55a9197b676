"""Tests of models that are trained on the validation part too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hpo.heldout import ModelResult, Plan, evaluate
from hpo.heldout.more_data import train_on_more
from hpo.heldout.retraining import refitted_config, retrain, retraining_seed, stopping_epoch
from hpo.record import StudyFolder, Trial
from hpo.results import status
from hpo.space import Validation
from hpo.training import Job
from hpo.trial import Report
from tests.heldout.studies import SPACE, content, record_of, searched
from trainables.training import checkpoints

REFIT = Plan(protocol="refit")


def refitted(folder: Path) -> tuple[StudyFolder, Trial, Job]:
    """A study, its best trial, and the job that refits it."""
    study = StudyFolder.reopen(folder)
    job = Job(study.space, study.settings.seed, study.data, refits=True)
    return study, study.history()[0].ranked()[0], job


def test_a_refit_trains_on_both_parts_as_a_model_that_is_trained_on_more(folder: Path) -> None:
    study, trial, job = refitted(folder)
    (model,) = retrain(study, job, [trial], 1)
    saved = checkpoints.read(model.checkpoint)
    assert saved is not None
    larger = train_on_more(replace(job, refits=False), "cpu", trial, retraining_seed(study, trial))
    expected = larger.trainable.state_dict()
    assert larger.n_images > larger.n_training
    torch.testing.assert_close(saved["state"]["weights"], expected["weights"], rtol=0, atol=0)


def test_its_validation_results_are_those_of_the_search(folder: Path) -> None:
    evaluate(folder)
    of_training_part = content(folder)["results"][0]
    evaluate(folder, REFIT)
    (result,) = content(folder)["results"]
    assert result["protocol"] == "refit"
    assert result["val_loss"]["values"] == [result["searched_loss"]]
    assert result["test_loss"] != of_training_part["test_loss"]
    assert result["stopping_epoch"] == of_training_part["stopping_epoch"]
    assert record_of(folder).n_looks == 2
    assert any(
        line.startswith("refit: trained on the validation images too") for line in status.test_lines(record_of(folder))
    )


def test_a_refit_that_was_cut_short_goes_on_and_keeps_the_checkpoints_of_a_retraining(folder: Path) -> None:
    def stop(look: ModelResult) -> None:
        raise KeyboardInterrupt

    whole = evaluate(folder, Plan(seeds=2, protocol="refit")).to_json()["results"]
    (folder / "test.json").unlink()
    for protocol in ("retrain", "refit"):
        with pytest.raises(KeyboardInterrupt):
            evaluate(folder, Plan(seeds=2, protocol=protocol), watch=stop)
    kept = sorted((folder / "retrained").glob("*.pt"))
    assert kept
    assert list((folder / "refitted").glob("*.pt"))
    assert evaluate(folder, Plan(seeds=2, protocol="refit")).to_json()["results"] == whole
    assert not (folder / "refitted").exists()
    assert sorted((folder / "retrained").glob("*.pt")) == kept


def test_with_folds_one_model_is_trained_on_all_images_of_the_search(tmp_path: Path) -> None:
    space = replace(SPACE, task=replace(SPACE.task, validation=Validation(fraction=None, folds=3)))
    folder = searched(tmp_path / "s", space, trials=1)
    study, trial, job = refitted(folder)
    (model,) = retrain(study, job, [trial], 1)
    saved = checkpoints.read(model.checkpoint)
    assert saved is not None
    larger = train_on_more(replace(job, refits=False), "cpu", trial, retraining_seed(study, trial))
    torch.testing.assert_close(saved["state"]["weights"], larger.trainable.state_dict()["weights"], rtol=0, atol=0)
    assert evaluate(folder, REFIT).trials[0].test_accuracy.mean > 0.7


@pytest.mark.parametrize(("phases_left", "n_epochs"), [((1, 1, 0), 2), ((0, 0, 0), 1)])
def test_a_probe_that_ended_by_its_patience_gets_as_many_epochs_again(
    folder: Path, phases_left: tuple[int, ...], n_epochs: int
) -> None:
    _, trial, _ = refitted(folder)
    fixed = {"probe_epochs": 9, "probe_patience": 2, "patience": 3, "window": 2, "batch_size": 8}
    reports = [
        Report(trial=0, fidelity=epoch, loss=0.1, seconds=1.0, metrics={"phases_left": float(left)})
        for epoch, left in enumerate(phases_left, 1)
    ]
    found = refitted_config(replace(SPACE, fixed=fixed), replace(trial, reports=reports))
    assert found == {**trial.config, "batch_size": 8, "probe_epochs": n_epochs}
    without_phases = refitted_config(replace(SPACE, fixed=fixed), trial)
    assert without_phases == {**trial.config, "batch_size": 8, "probe_epochs": 9}
    assert stopping_epoch(trial) >= 1
