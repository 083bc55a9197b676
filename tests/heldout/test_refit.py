"""Tests of models that are trained on the validation part too."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.heldout import ModelResult, Plan, evaluate, image_results, plan
from hpo.heldout.retrained_config import retrained_config
from hpo.heldout.retraining import retrain, retraining_seed, stopping_epoch
from hpo.record import StudyFolder, Trial, versions
from hpo.record.provenance import ALWAYS_RECORDED
from hpo.results import held_out_confidence, status
from hpo.space import Validation
from hpo.training import Builder, Job
from hpo.trial import Report
from tests.heldout.studies import SPACE, content, record_of, searched
from trainables import seeding
from trainables.data.dataset import Part
from trainables.models import softmax_regression
from trainables.regimes import from_scratch
from trainables.training import checkpoints

REFIT = Plan(protocol="refit")


def refitted(folder: Path) -> tuple[StudyFolder, Trial, Job]:
    """A study, its best trial, and the job that refits it."""
    study = StudyFolder.reopen(folder)
    job = Job(study.space, study.settings.seed, study.data, refits=True)
    return study, study.history()[0].ranked()[0], job


def trained_by_hand(study: StudyFolder, job: Job, trial: Trial) -> dict[str, Any]:
    """The state of a training on the images of both parts, which are concatenated here."""
    builder = Builder(replace(job, refits=False), "cpu")
    config: dict[str, Any] = {**study.space.fixed, **trial.config, "schedule_epochs": study.space.fidelity.high}
    data = builder.search_data(config)[0]
    assert data is not None
    images = torch.cat([part.batch(slice(None)) for part in (data.train, data.validation)])
    joined = replace(data, train=Part(images, torch.cat([data.train.labels, data.validation.labels])))
    seeding.seed_everything(retraining_seed(study, trial))
    model = softmax_regression.build(config, shape=joined.train.shape, n_classes=10, weights="none")
    training = from_scratch.build(config, model, joined, "cpu")
    for _ in range(stopping_epoch(trial)):
        training.step()
    return training.state_dict()


def check_trained_on_both_parts(folder: Path) -> None:
    """Check that a refit of the best trial has the weights of `trained_by_hand`."""
    study, trial, job = refitted(folder)
    (model,) = retrain(study, job, [trial], 1)
    saved = checkpoints.read(model.checkpoint)
    assert saved is not None
    expected = trained_by_hand(study, job, trial)
    torch.testing.assert_close(saved["state"]["weights"], expected["weights"], rtol=0, atol=0)


def test_a_refit_trains_on_the_images_of_both_parts(folder: Path) -> None:
    check_trained_on_both_parts(folder)


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
    check_trained_on_both_parts(folder)
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
    space = replace(SPACE, fixed=fixed)
    found = retrained_config(space, replace(trial, reports=reports), refits=True)
    assert found == {**trial.config, "batch_size": 8, "probe_epochs": 9, "probe_stop_epoch": n_epochs}
    assert retrained_config(space, trial, refits=True) == {**trial.config, "batch_size": 8, "probe_epochs": 9}
    assert retrained_config(space, trial, refits=False) == trial.config


def test_a_test_without_a_protocol_repeats_that_of_the_latest_test(folder: Path) -> None:
    assert plan.tested_protocol(StudyFolder.reopen(folder)) == "retrain"
    evaluate(folder, REFIT)
    assert plan.tested_protocol(StudyFolder.reopen(folder)) == "refit"
    evaluate(folder, Plan(protocol="checkpoint"))
    assert plan.tested_protocol(StudyFolder.reopen(folder)) == "checkpoint"


def test_several_refits_have_no_deviation_over_seeds_on_validation(folder: Path) -> None:
    (result,) = evaluate(folder, Plan(seeds=2, protocol="refit")).trials
    assert result.val_accuracy.std is None
    assert result.test_accuracy.std is not None


def test_a_refit_says_which_results_it_replaces_and_compares_only_refits(folder: Path) -> None:
    lines: list[str] = []
    evaluate(folder, Plan(top=3))
    evaluate(folder, REFIT, notify=lines.append)
    best = refitted(folder)[1].number
    assert f"the result of trial {best} by the protocol retrain, 1 seed, is replaced by that of refit" in lines
    compared = held_out_confidence.difference_lines(record_of(folder), image_results.read(StudyFolder.reopen(folder)))[
        0
    ]
    named = set(re.findall(r"\d+", compared.partition(" More seeds")[0]))
    assert named == {str(trial.number) for trial in StudyFolder.reopen(folder).history()[0].ranked()[1:]}


def test_an_interrupted_look_by_fewer_recorded_packages_is_not_counted_again(folder: Path) -> None:
    record = record_of(folder)
    look = {"trial": 0, "versions": dict(versions())}
    earlier = {"trial": 0, "versions": {name: each for name, each in versions().items() if name in ALWAYS_RECORDED}}
    record.begin_look(earlier)
    record.begin_look(look)
    assert record.n_looks == 1
    record.end_look(look)
    assert record.unfinished == []


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["processes", "fused"])
def test_another_runner_refits_alike(folder: Path, runner: str) -> None:
    study, trial, job = refitted(folder)
    weights = []
    for name in ("inline", runner):
        study.settings = replace(study.settings, runner=name)
        models = sorted(retrain(study, job, [trial], 2), key=lambda model: model.seed)
        saved = [checkpoints.read(model.checkpoint) for model in models]
        weights.append([each["state"]["weights"] for each in saved if each is not None])
        shutil.rmtree(study.folder / "refitted")
    assert len(weights[0]) == 2
    torch.testing.assert_close(weights[0], weights[1])


def test_the_status_names_the_command_of_an_interrupted_test(folder: Path) -> None:
    def interrupted() -> str:
        (line,) = (line for line in status.lines(folder) if line.startswith("test "))
        return line.partition("`")[2].partition("`")[0].partition(" --studies")[0]

    (folder / "refitted").mkdir()
    assert interrupted() == "hpo test s --protocol refit"
    (folder / "refitted").rmdir()
    evaluate(folder, REFIT)
    (folder / "refitted").mkdir()
    assert interrupted() == "hpo test s"
    (folder / "retrained").mkdir()
    assert interrupted() == "hpo test s --protocol retrain"
