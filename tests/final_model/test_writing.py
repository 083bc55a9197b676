"""Writing the best configuration of a study as a model folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import hpo
from hpo.errors import StudyError, UserError
from hpo.final_model import load_model, write_model
from hpo.heldout import Plan, evaluate, record
from hpo.loop import begin
from hpo.record import Budget, StudyFolder
from tests.final_model.studies import described, searched, searched_with, space
from tests.heldout import zoo
from tests.trainables.datasets import pictures
from trainables.regimes import from_scratch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the data sets, with 30 pictures in two classes."""
    pictures.folders(tmp_path / "data" / "zoo", zoo.COUNTS, suffix=".png")
    return tmp_path / "data"


@pytest.fixture
def study(root: Path, tmp_path: Path) -> Path:
    return searched(tmp_path / "s", root)


def accuracy(model: Path, study: Path, part: str = "held_out_part") -> float:
    """The accuracy of a model folder on the files of a part of its study's data set."""
    opened = StudyFolder.reopen(study)
    recorded = opened.data_record()
    assert recorded is not None
    files = recorded["dataset"][part]
    paths = [opened.data / files["folder"] / name for name in files["names"]]
    predicted = load_model(model, device="cpu").predict(paths)["class"]
    true = [recorded["dataset"]["classes"][label] for label in files["labels"]]
    return float((predicted == true).mean())


def test_the_tested_weights_are_written_with_their_results(study: Path, tmp_path: Path) -> None:
    result = evaluate(study, Plan(seeds=2)).trials[0]
    kept = (study / "tested_model.pt").read_bytes()
    written = write_model(study, tmp_path / "m")
    content = described(tmp_path / "m")
    tested = content["results"]["test"]
    assert (tested["loss"], tested["accuracy"]) == (result.test_loss.values[0], result.test_accuracy.values[0])
    assert tested["looks"] == 2
    assert accuracy(tmp_path / "m", study) == pytest.approx(result.test_accuracy.values[0])
    assert content["results"]["validation"]["val_loss"] == result.val_loss.values[0]
    assert content["training"] == {
        "trained_on": "train",
        "epochs": 3,
        "seed": 0,
        "images": 20,
        "protocol": "retrain",
    } | {"epochs": result.stopping_epoch}
    assert content["study"]["trial"] == result.trial
    assert content["network"]["configuration"] == {**space().fixed, **result.config}
    assert content["classes"] == ["cat", "dog"]
    assert written.lines[0].startswith(f"trial {result.trial}, seed 0: trained on train")
    assert record.TestRecord.read(StudyFolder.reopen(study)).n_looks == 2
    assert (study / "tested_model.pt").read_bytes() == kept


def test_tested_weights_that_were_deleted_are_trained_again_with_the_same_seed(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    write_model(study, tmp_path / "kept")
    (study / "tested_model.pt").unlink()
    notes: list[str] = []
    write_model(study, tmp_path / "again", notify=notes.append)
    assert notes == []
    assert described(tmp_path / "again") == described(tmp_path / "kept") | {
        "calibration": {
            key: value
            for key, value in described(tmp_path / "kept")["calibration"].items()
            if not key.startswith("held_out")
        }
    }
    assert not (study / "retrained").exists()


def test_weights_that_are_trained_again_and_differ_have_no_test_result(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    (study / "tested_model.pt").unlink()
    path = study / "test.json"
    loss = record.TestRecord.read(StudyFolder.reopen(study)).trials[0].val_loss.values[0]
    path.write_text(path.read_text().replace(str(loss), str(loss + 0.01)))
    notes: list[str] = []
    write_model(study, tmp_path / "m", notify=notes.append)
    assert described(tmp_path / "m")["results"]["test"] is None
    assert "are not there any more, and the new ones differ" in notes[0]


def test_a_study_that_is_not_tested_gives_the_weights_of_the_search(study: Path, tmp_path: Path) -> None:
    written = write_model(study, tmp_path / "m")
    content = described(tmp_path / "m")
    best = hpo.open_study(study).best
    assert content["results"]["test"] is None
    assert content["training"]["protocol"] == "checkpoint"
    assert content["results"]["validation"]["val_loss"] == best.metrics["val_loss"]
    assert "not tested: `hpo test s` tests the best trial on held-out data" in written.lines
    assert not (study / "test.json").exists()


def test_another_trial_can_be_written(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    other = StudyFolder.reopen(study).history()[0].ranked()[1].number
    write_model(study, tmp_path / "m", trial=other)
    content = described(tmp_path / "m")
    assert (content["study"]["trial"], content["results"]["test"]) == (other, None)


def test_more_training_data_give_other_weights_without_results(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    write_model(study, tmp_path / "train")
    for train_on, n_images in (("train+validation", 24), ("all", 30)):
        written = write_model(study, tmp_path / train_on, train_on=train_on)
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
    write_model(study, tmp_path / "more", train_on="train+validation")
    assert described(tmp_path / "more")["training"]["images"] == 24


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


class Own:
    """Own training code with a module of its own, which takes images of 0..1."""

    def __init__(self, config: Any, model: Any, data: Any, device: str) -> None:
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
        self.data = data
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=config["lr"])

    def step(self) -> dict[str, float]:
        loss = nn.functional.cross_entropy(self.logits(self.data.train), self.data.train.labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        found = self.evaluate(self.data.validation)
        return {"val_loss": found["loss"], "val_accuracy": found["accuracy"]}

    def logits(self, part: Any) -> torch.Tensor:
        logits: torch.Tensor = self.model(part.images.float() / 255)
        return logits

    def evaluate(self, part: Any) -> dict[str, float]:
        with torch.no_grad():
            logits = self.logits(part)
        loss = nn.functional.cross_entropy(logits, part.labels)
        return {"loss": float(loss), "accuracy": float((logits.argmax(dim=1) == part.labels).double().mean())}

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


class WithOtherImages(Own):
    """Its module alone has another accuracy than the one that it reports."""

    def evaluate(self, part: Any) -> dict[str, float]:
        found = super().evaluate(part)
        return {**found, "accuracy": 1.0 if found["accuracy"] < 0.5 else 0.0}


class WithoutModule(Own):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.network = self.__dict__.pop("model")

    def logits(self, part: Any) -> torch.Tensor:
        logits: torch.Tensor = self.network(part.images.float())
        return logits

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["model"])


def with_given_model(config: Any, model: Any, data: Any, device: str) -> Any:
    """Own training code that trains the model of the task."""
    return from_scratch.build({**config, "optimizer": "sgd"}, model, data, device)


def test_own_training_code_with_a_module_is_written_as_a_program(root: Path, tmp_path: Path) -> None:
    study = searched_with(tmp_path / "s", root, Own)
    result = evaluate(study, trainable=Own).trials[0]
    notes: list[str] = []
    write_model(study, tmp_path / "m", trainable=Own, notify=notes.append)
    assert notes == ["no plain code builds the network, so model.pt2 holds it as a program of torch.export"]
    assert accuracy(tmp_path / "m", study) == pytest.approx(result.test_accuracy.values[0])


def test_own_training_code_on_the_model_of_the_task_is_written_like_a_regime(root: Path, tmp_path: Path) -> None:
    study = searched_with(tmp_path / "s", root, with_given_model)
    model = hpo.open_study(study, trainable=with_given_model).model(tmp_path / "m", quiet=True)
    assert described(tmp_path / "m")["network"]["model"] == "small_cnn"
    assert model.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (WithoutModule, "has no attribute `model` that is a torch.nn.Module"),
        (WithOtherImages, r"its `model` alone has the validation accuracy .* a module must take images of 0..1"),
    ],
)
def test_own_training_code_without_a_usable_module_is_an_error(
    root: Path, tmp_path: Path, code: Any, words: str
) -> None:
    study = searched_with(tmp_path / "s", root, code)
    with pytest.raises(UserError, match=words):
        write_model(study, tmp_path / "m", trainable=code)
    assert not (tmp_path / "m").exists()


def test_wrong_arguments_are_errors_and_leave_nothing(study: Path, root: Path, tmp_path: Path) -> None:
    for options, words in (
        ({"train_on": "test"}, r"unknown part 'test' to train on .*allowed: all, train, train\+validation"),
        ({"trial": 9}, "trial 9 of study 's' is not there: 2 are numbered from 0"),
        ({"trainable": Own}, "was searched with the regime of its space"),
    ):
        with pytest.raises(UserError, match=words):
            write_model(study, tmp_path / "m", **options)
    with pytest.raises(UserError, match="is not empty, and is not a model folder"):
        write_model(study, root)
    begin(tmp_path / "none", space(), zoo.settings(root), Budget(trials=0))
    with pytest.raises(StudyError, match="no trial with a finite loss"):
        write_model(tmp_path / "none", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_study_without_a_data_set_has_no_model(tmp_path: Path) -> None:
    def train(config: Any) -> Any:
        yield {"val_loss": 1.0}

    found = hpo.search(
        hpo.SearchSpace("line", {"lr": hpo.Float(0.1, 1.0)}, hpo.Fidelity(1)),
        train,
        trials=1,
        studies=tmp_path,
        study="s",
        backend="random",
        quiet=True,
    )
    with pytest.raises(UserError, match=r"has no `task\.dataset`"):
        found.model(tmp_path / "m")


def test_further_formats_are_written_beside_the_weights(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    write_model(study, tmp_path / "m", formats=["torch", "torch"])
    assert "## torch.export" in (tmp_path / "m" / "README.md").read_text()
    program = torch.export.load(tmp_path / "m" / "model.pt2").module()
    height = described(tmp_path / "m")["image"]["height"]
    logits, probabilities = program(torch.zeros(3, 3, height, height, dtype=torch.uint8))
    assert logits.shape == probabilities.shape == (3, 2)


def test_a_format_that_cannot_be_written_is_named_before_anything_is_trained(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="unknown format 'onx'; did you mean 'onnx'"):
        write_model(study, tmp_path / "m", formats=["onx"])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"the format onnx needs onnxruntime: pip install 'hpo\[onnx\]'"):
        write_model(study, tmp_path / "m", formats=["onnx"])
    assert not (tmp_path / "m").exists()
