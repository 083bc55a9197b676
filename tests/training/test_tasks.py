"""What a task names, from its data sets to its weights, through a worker and a whole search."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from hpo.errors import TaskError
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task, Validation
from hpo.space.domains import Categorical, Float
from hpo.training import notices
from hpo.training.builder import Builder, Job
from hpo.training.checkpoints import best_checkpoint
from hpo.training.worker import Worker
from hpo.trial import Report, Suggestion
from tests.trainables.datasets import pictures
from trainables.datasets import digits
from trainables.models import _weights
from trainables.training import checkpoints

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is an extra")
TASK = Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"))
HALVES = {"low": tuple("01234"), "high": tuple("56789")}

TINY = """
from torch import nn
from trainables.models import _weights as stored
from trainables.trainable import TransferModel
HYPERPARAMETERS = {}
WEIGHTS = "tiny.pth"
def build(config, *, shape, n_classes, weights):
    stage = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
    model = TransferModel({"stage": stage}, nn.Linear(8, n_classes))
    if weights != "none":
        stored.load_into(model, weights, head="head.", model="tiny")
    return model
"""


def job(task: Task, data: Path = Path(), **fixed: Any) -> Job:
    space = SearchSpace("tasks", {"lr": Float(1e-4, 1.0, log=True)}, Fidelity(9), task, {"batch_size": 64, **fixed})
    return Job(space, seed=0, data=data)


def train(job: Job, folder: Path, until: int = 2, after: int = 0, **config: Any) -> list[Report]:
    reports = Worker(job, folder, "cpu").train(Suggestion(0, {"lr": 0.01, **config}, until), after=after)
    return [replace(report, seconds=0.0) for report in reports]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a model that has ImageNet weights."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / f"tiny_{tmp_path.name}"
    folder.mkdir()
    (folder / "tiny.py").write_text(TINY)
    return f"{folder.name}.tiny"


def first_layer(job: Job, folder: Path, **config: Any) -> torch.Tensor:
    """The first weights of a model before it is trained."""
    trainable: Any = Builder(job, "cpu").build({"lr": 0.01, **config}, seed=3)
    found: torch.Tensor = trainable.model.get_parameter("stages.stage.1.weight").detach()
    return found


class TestFolds:
    def test_metrics_are_the_means_over_the_folds(self, tmp_path: Path) -> None:
        source = digits.build(None).training()
        builder = Builder(job(replace(TASK, validation=Validation(folds=3))), "cpu")
        folds = builder.search_data({})
        assert sum(len(data.validation) for data in folds if data) == len(source)
        trainable: Any = builder.build({"lr": 0.01}, seed=1)
        metrics = trainable.step()
        alone = [each.evaluate(data.validation) for each, data in zip(trainable.trainings, folds, strict=True) if data]
        assert metrics["val_loss"] == pytest.approx(fmean(each["loss"] for each in alone))
        assert len({each["loss"] for each in alone}) == 3

    def test_a_trial_over_folds_that_is_cut_short_goes_on_exactly(self, tmp_path: Path) -> None:
        over = job(replace(TASK, validation=Validation(folds=3, seed=1)))
        whole = train(over, tmp_path / "whole", until=3)
        parts = train(over, tmp_path / "parts", until=1) + train(over, tmp_path / "parts", until=3, after=1)
        assert parts == whole
        assert whole[-1].metrics["val_accuracy"] > 0.8

    def test_the_seed_of_the_validation_cuts_the_folds(self, tmp_path: Path) -> None:
        losses = [
            train(job(replace(TASK, validation=Validation(folds=2, seed=seed))), tmp_path / name, until=1)[0].loss
            for name, seed in (("a", 1), ("b", 1), ("c", 2))
        ]
        assert losses[0] == losses[1] != losses[2]

    def test_more_folds_than_a_class_has_samples_are_an_error_of_the_task(self, tmp_path: Path) -> None:
        with pytest.raises(
            TaskError, match=r"data set 'digits': class '\d' has 1\d\d images .* needs 999 of them; take"
        ):
            train(job(replace(TASK, validation=Validation(folds=999))), tmp_path)


class TestMergedClasses:
    def test_two_groups_of_classes_are_told_apart_by_one_linear_unit(self, tmp_path: Path) -> None:
        task = replace(TASK, model="logistic_regression", dataset=DatasetSpec("digits", merged_classes=HALVES))
        reports = train(job(task), tmp_path, until=6, lr=0.05)
        assert reports[-1].metrics["val_accuracy"] > 0.8

    def test_a_group_of_unknown_classes_is_an_error_of_the_task(self, tmp_path: Path) -> None:
        task = replace(TASK, dataset=DatasetSpec("digits", merged_classes={"even": ("0", "2"), "odd": ("1", "11")}))
        with pytest.raises(TaskError, match=r"`merged_classes\.odd`: there is no class '11' \(allowed: 0, 1, 2"):
            train(job(task), tmp_path)


class TestWeights:
    def test_imagenet_weights_are_those_in_the_folder_of_the_weights(self, tmp_path: Path, tiny: str) -> None:
        stage = {"stages.stage.1.weight": torch.full((8, 64), 0.5), "stages.stage.1.bias": torch.zeros(8)}
        _weights.save(stage, tmp_path / "weights" / "tiny.pth")
        task = replace(TASK, model=tiny, weights="imagenet", regime="fine_tune")
        assert first_layer(job(task, tmp_path), tmp_path / "c").eq(0.5).all()

    def test_weights_may_be_those_at_a_path(self, tmp_path: Path, tiny: str) -> None:
        stage = {"stages.stage.1.weight": torch.full((8, 64), 0.25), "stages.stage.1.bias": torch.zeros(8)}
        _weights.save(stage, tmp_path / "mine.safetensors")
        task = replace(TASK, model=tiny, weights=str(tmp_path / "mine.safetensors"), regime="linear_probe")
        assert first_layer(job(task), tmp_path / "c").eq(0.25).all()

    def test_a_worker_notes_once_how_it_read_them(self, tmp_path: Path, tiny: str) -> None:
        state = {"module.stages.stage.1.weight": torch.zeros(8, 64), "module.stages.stage.1.bias": torch.zeros(8)}
        torch.save({"model": state}, tmp_path / "mine.pth")
        task = replace(TASK, model=tiny, weights=str(tmp_path / "mine.pth"), regime="linear_probe")
        worker = Worker(job(task), tmp_path / "c", "cpu")
        for trial in range(2):
            list(worker.train(Suggestion(trial, {"lr": 0.01}, 1), after=0))
        words = "the weights are its entry 'model'; the prefix 'module.' of their keys is removed"
        assert notices.read(tmp_path / "c") == [f"`weights`: {tmp_path / 'mine.pth'}: {words}"]

    def test_a_training_from_scratch_ignores_the_weights_that_other_regimes_begin_with(
        self, tmp_path: Path, tiny: str
    ) -> None:
        task = Task(model=tiny, weights="imagenet", dataset=TASK.dataset)
        space = SearchSpace("s", {"regime": Categorical(("from_scratch", "fine_tune"))}, Fidelity(9), task)
        both = Job(space, 0, tmp_path)
        scratch = first_layer(both, tmp_path / "c", regime="from_scratch")
        assert scratch.std() > 0
        with pytest.raises(TaskError, match=r"put the state dict at .*weights/tiny\.pth, or download it by: hpo fetch"):
            first_layer(both, tmp_path / "c", regime="fine_tune")

    def test_a_model_without_imagenet_weights_is_an_error_of_the_task(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="there are no ImageNet weights of the model 'softmax_regression'"):
            train(job(replace(TASK, regime="fine_tune", weights="imagenet")), tmp_path)

    def test_a_checkpoint_of_a_linear_probe_holds_no_frozen_weights(self, tmp_path: Path, tiny: str) -> None:
        task = replace(TASK, model=tiny, regime="linear_probe")
        train(job(task), tmp_path / "c", until=9)
        saved = checkpoints.read(best_checkpoint(tmp_path / "c", 0))
        assert saved is not None
        assert set(saved["state"]["weights"]) == {"head.weight", "head.bias"}


def test_a_task_may_name_a_data_set_to_train_on_first(tmp_path: Path) -> None:
    number = pictures.folders(tmp_path / "first", {"cat": 9, "dog": 9, "horse": 9})
    pictures.folders(tmp_path / "zoo", {"cat": 8, "dog": 8}, first=number)
    zoo, first = (DatasetSpec("image_folder", {"folder": name, "held_out": 0.25}) for name in ("zoo", "first"))
    task = Task("pretrain_then_head", "small_cnn", dataset=zoo, pretraining=first)
    begun = job(task, tmp_path, image_size=4, pretrain_epochs=2, samples_per_class=6)
    reports = train(begun, tmp_path / "c", until=4)
    assert [report.metrics["phases_left"] for report in reports] == [1, 1, 0, 0]
    data = Builder(begun, "cpu").search_data(begun.space.fixed)[0]
    assert data is not None
    assert data.pretraining is not None
    assert (data.classes, data.pretraining.classes) == (("cat", "dog"), ("cat", "dog", "horse"))


def test_a_worker_reads_a_data_set_once_for_all_its_trials(tmp_path: Path) -> None:
    pictures.folders(tmp_path / "data" / "zoo", {"cat": 8, "dog": 8})
    task = replace(TASK, dataset=DatasetSpec("image_folder", {"folder": "zoo", "held_out": 0.25}))
    worker = Worker(job(task, tmp_path / "data", image_size=4), tmp_path / "c", "cpu")
    list(worker.train(Suggestion(0, {"lr": 0.01}, 1), after=0))
    for path in (tmp_path / "data").rglob("*.jpg"):
        path.unlink()
    assert len(list(worker.train(Suggestion(1, {"lr": 0.02}, 1), after=0))) == 1
