"""Models that are trained once more on more data, and those of trainings in phases and folds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.final_model import ModelOptions, write_model
from hpo.heldout import Plan, evaluate, record
from hpo.record import StudyFolder
from tests.final_model.studies import accuracy, described, searched


def test_more_training_data_give_other_weights_without_results(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    write_model(study, tmp_path / "train")
    for train_on, n_images in (("train+validation", 24), ("all", 30)):
        written = write_model(study, tmp_path / train_on, ModelOptions(train_on=train_on))
        content = described(tmp_path / train_on)
        assert content["training"]["trained_on"] == train_on
        assert content["training"]["images"] == n_images
        assert content["training"]["images_in_training_part"] == 20
        assert content["results"] == described(tmp_path / "train")["results"]
        assert content["temperature"] == described(tmp_path / "train")["temperature"]
        assert content["weights_sha256"] != described(tmp_path / "train")["weights_sha256"]
        assert any(line.startswith("These weights are not tested.") for line in written.lines)
    noted = record.TestRecord.read(StudyFolder.reopen(study))
    assert noted.n_looks == 1
    assert noted.trained_on_held_out == [described(tmp_path / "all")["study"]["trial"]]
    assert evaluate(study, Plan(seeds=2)).trained_on_held_out == noted.trained_on_held_out


def test_a_model_that_was_tested_by_refit_is_written_as_it_was_tested(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    write_model(study, tmp_path / "train")
    result = evaluate(study, Plan(protocol="refit")).trials[0]
    written = write_model(study, tmp_path / "refit")
    content, before = described(tmp_path / "refit"), described(tmp_path / "train")
    assert content["training"]["trained_on"] == content["results"]["of_trained_on"]["test"] == "train+validation"
    assert content["results"]["of_trained_on"]["validation"] == "train"
    assert content["training"]["images"] == 24
    assert accuracy(tmp_path / "refit", study) == pytest.approx(result.test_accuracy.values[0])
    assert content["results"]["test"]["accuracy"] == result.test_accuracy.values[0]
    assert content["results"]["validation"]["val_loss"] == result.searched_loss
    assert content["weights_sha256"] != before["weights_sha256"]
    assert not any(line.startswith("These weights are not tested.") for line in written.lines)
    (origin,) = (line for line in written.lines if "trained on train:" in line)
    assert origin == "The validation results and the temperature are those of the model trained on train:"
    write_model(study, tmp_path / "same", ModelOptions(train_on="train+validation"))
    assert described(tmp_path / "same")["weights_sha256"] == content["weights_sha256"]
    all_lines = write_model(study, tmp_path / "all", ModelOptions(train_on="all")).lines
    (origin,) = (line for line in all_lines if "trained on train:" in line)
    assert origin.startswith("The test result is that of the model trained on train+validation, the validation results")
    write_model(study, tmp_path / "asked", ModelOptions(train_on="train"))
    assert described(tmp_path / "asked")["training"]["trained_on"] == "train"
    assert described(tmp_path / "asked")["results"]["test"] is None


def test_the_temperature_of_a_refit_is_that_of_the_search(study: Path, tmp_path: Path) -> None:
    evaluate(study, Plan(protocol="checkpoint"))
    write_model(study, tmp_path / "searched")
    evaluate(study, Plan(protocol="refit"))
    write_model(study, tmp_path / "refit")
    of_search = described(tmp_path / "searched")["temperature"]
    assert described(tmp_path / "refit")["temperature"] == pytest.approx(of_search, rel=0.01)
    shutil.rmtree(study / "predictions")
    write_model(study, tmp_path / "without")
    assert described(tmp_path / "without")["temperature"] == pytest.approx(of_search, rel=0.01)


def test_lost_weights_of_a_refit_are_trained_again_and_have_no_test_result(study: Path, tmp_path: Path) -> None:
    evaluate(study, Plan(protocol="refit"))
    write_model(study, tmp_path / "kept")
    (study / "tested_model.pt").unlink()
    notes: list[str] = []
    write_model(study, tmp_path / "again", notify=notes.append)
    assert described(tmp_path / "again")["weights_sha256"] == described(tmp_path / "kept")["weights_sha256"]
    assert described(tmp_path / "again")["results"]["test"] is None
    assert any("run `hpo test` again" in note for note in notes)


@pytest.mark.parametrize(
    "regime",
    [pytest.param("probe_then_fine_tune", marks=pytest.mark.slow), "pretrain_then_head", "contrastive"],
)
def test_the_final_network_of_a_training_in_phases_is_written(root: Path, tmp_path: Path, regime: str) -> None:
    fixed = {"probe_epochs": 2, "probe_patience": 1, "pretrain_epochs": 1, "encoder_epochs": 1}
    keys = {"probe_then_fine_tune": ("probe_epochs", "probe_patience"), "pretrain_then_head": ("pretrain_epochs",)}
    chosen = {key: fixed[key] for key in keys.get(regime, ("encoder_epochs",))}
    weights = tmp_path / "weights.pth"
    task: dict[str, Any] = {"regime": regime}
    if regime == "probe_then_fine_tune":
        task |= {"model": "timm:test_resnet", "weights": str(weights)}
        model = hpo_model("timm:test_resnet")
        torch.save(model, weights)
        chosen |= {"image_size": 32}
    study = searched(tmp_path / "s", root, fixed=chosen, **task)
    result = evaluate(study).trials[0]
    write_model(study, tmp_path / "m")
    assert accuracy(tmp_path / "m", study) == pytest.approx(result.test_accuracy.values[0])
    write_model(study, tmp_path / "more", ModelOptions(train_on="train+validation"))
    assert described(tmp_path / "more")["training"]["images"] == 24
    refit = evaluate(study, Plan(protocol="refit")).trials[0]
    write_model(study, tmp_path / "refit")
    assert accuracy(tmp_path / "refit", study) == pytest.approx(refit.test_accuracy.values[0])


def hpo_model(name: str) -> dict[str, torch.Tensor]:
    """The state dict of a network of timm with random weights."""
    from trainables import vision

    vision.torchvision()
    import timm

    torch.manual_seed(0)
    return dict(timm.create_model(name.partition(":")[2]).state_dict())


def test_a_study_with_folds_gives_one_model_that_is_trained_on_all_folds(root: Path, tmp_path: Path) -> None:
    study = searched(tmp_path / "s", root, folds=2)
    notes: list[str] = []
    write_model(study, tmp_path / "m", notify=notes.append)
    content = described(tmp_path / "m")
    assert notes[0] == "the search trained 2 models, one a fold: one model is trained on train+validation"
    assert content["training"]["trained_on"] == "train+validation"
    assert content["training"]["images"] == 24
    assert content["calibration"]["n_samples"] == 24
