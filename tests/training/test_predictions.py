"""Tests of the predictions that a worker keeps of the trials that it trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpo.errors import HpoError
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task, Validation
from hpo.space.domains import Float
from hpo.training import notices
from hpo.training.builder import Builder, Job
from hpo.training.checkpoints import checkpoint
from hpo.training.prediction_files import PredictionFiles
from hpo.training.predictions import KeptPredictions, Targets
from hpo.training.worker import Worker
from hpo.trial import Report, Suggestion
from tests.training.kept_predictions import check_kept, kept
from trainables.data.dataset import Part, SearchData
from trainables.training import checkpoints, predictions

TASK = Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"))
FOLDS = Validation(folds=3)


def job(folder: Path, task: Task = TASK, code: Any = None, objective: str = "val_loss", **fixed: Any) -> Job:
    domains = {"lr": Float(1e-4, 100.0, log=True)}
    space = SearchSpace("digits", domains, Fidelity(9), task, {"batch_size": 256, **fixed}, objective=objective)
    return Job(space, 0, folder / "data", code, predictions=folder / "predictions")


def train(job: Job, folder: Path, until: int = 4, after: int = 0, lr: float = 0.01) -> list[Report]:
    return list(Worker(job, folder / "c", "cpu").train(Suggestion(0, {"lr": lr}, until), after=after))


@pytest.mark.parametrize(
    ("task", "fixed"),
    [
        (TASK, {}),
        (TASK, {"label_smoothing": 0.2, "class_weights": "balanced", "l2": 0.01}),
        (TASK, {"precision": "bf16"}),
        (TASK, {"micro_batches": 2}),
        (Task("pretrain_then_head", "softmax_regression", dataset=DatasetSpec("digits")), {"pretrain_epochs": 2}),
        (Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"), validation=FOLDS), {}),
    ],
    ids=["plain", "weighted loss", "bf16", "micro-batches", "two phases", "folds"],
)
def test_the_predictions_of_the_best_epoch_give_its_metrics(tmp_path: Path, task: Task, fixed: dict[str, Any]) -> None:
    found = check_kept(tmp_path / "predictions", train(job(tmp_path, task, **fixed), tmp_path))
    n_folds = task.validation.folds or 1
    assert set(found.folds) == set(range(n_folds))
    assert np.bincount(found.labels).tolist() != [0] * 10
    assert np.isfinite(found.logits).all()
    assert (found.logits.max(axis=1) == 0).all()


def test_they_equal_those_of_a_fresh_evaluation_of_the_checkpoint(tmp_path: Path) -> None:
    here = job(tmp_path)
    reports = train(here, tmp_path, until=3)
    found = check_kept(tmp_path / "predictions", reports)
    assert found.epoch == 3
    builder = Builder(here, "cpu")
    trainable: Any = builder.build({"lr": 0.01, "batch_size": 256}, seed=5)
    saved = checkpoints.read(checkpoint(tmp_path / "c", 0))
    assert saved is not None
    trainable.load_state_dict(saved["state"])
    (data,) = builder.search_data({})
    assert data is not None
    logits = trainable.model(data.validation.images)
    fresh = predictions.as_float16(logits)
    assert fresh is not None
    np.testing.assert_allclose(fresh.astype(float), found.logits.astype(float), rtol=2e-3, atol=1e-4)
    assert found.labels.tolist() == data.validation.labels.tolist()


def test_with_folds_each_image_has_the_logits_of_the_model_that_did_not_train_on_it(tmp_path: Path) -> None:
    here = job(tmp_path, Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"), validation=FOLDS))
    train(here, tmp_path, until=1)
    found = kept(tmp_path / "predictions")
    assert found is not None
    folds = Builder(here, "cpu").search_data({})
    assert [len(fold.validation) for fold in folds if fold] == np.bincount(found.folds).tolist()
    labels = torch.cat([fold.validation.labels for fold in folds if fold])
    assert labels.tolist() == found.labels.tolist()


def test_worse_epochs_leave_the_predictions_of_the_best_as_they_are(tmp_path: Path) -> None:
    here = job(tmp_path, optimizer="sgd")
    reports = train(here, tmp_path, until=9, lr=100.0)
    found = check_kept(tmp_path / "predictions", reports)
    assert found.epoch < 9


def test_the_objective_decides_which_epoch_is_the_best(tmp_path: Path) -> None:
    here = job(tmp_path, objective="val_error", optimizer="sgd")
    reports = train(here, tmp_path, until=9, lr=100.0)
    check_kept(tmp_path / "predictions", reports, objective="val_error")


def test_after_a_kill_between_the_two_writes_the_same_files_are_written_again(tmp_path: Path) -> None:
    train(job(tmp_path / "undisturbed"), tmp_path / "undisturbed", until=4)
    train(job(tmp_path), tmp_path, until=3)
    saved = checkpoint(tmp_path / "c", 0).read_bytes()
    train(job(tmp_path), tmp_path, until=4, after=3)
    checkpoint(tmp_path / "c", 0).write_bytes(saved)  # as if it had not been written for epoch 4
    with (tmp_path / "predictions" / "0.epochs").open("ab") as file:
        file.write(b"a part of an epoch")
    train(job(tmp_path), tmp_path, until=4, after=3)
    folders = [folder / "predictions" for folder in (tmp_path / "undisturbed", tmp_path)]
    for folder in folders:
        PredictionFiles(folder).finish(0)
    for name in ("0.npz", "0.epochs"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1


@pytest.mark.parametrize("files", ["whole", "missing", "damaged"])
def test_epochs_that_are_trained_again_leave_the_predictions_of_those_on_record(tmp_path: Path, files: str) -> None:
    """The checkpoint is lost, and the second training gives other values, as on another machine."""
    here, folder = job(tmp_path, optimizer="sgd"), tmp_path / "predictions"
    reports = train(here, tmp_path, until=4)
    paths = [folder / "0.training", folder / "0.epochs"]
    whole = [path.read_bytes() for path in paths]
    checkpoint(tmp_path / "c", 0).unlink()
    for path in paths:
        if files == "missing":
            path.unlink()
        elif files == "damaged":
            path.write_bytes(b"PK")
    other = job(tmp_path, optimizer="sgd", momentum=0.5)
    with pytest.raises(HpoError, match="the trial ended after epoch 4"):  # it is asked for no new epoch
        train(other, tmp_path, until=4, after=4)
    assert ([path.read_bytes() for path in paths] == whole) == (files == "whole")
    found = kept(folder)
    assert found is not None
    assert found.epoch == 4
    assert [each.epoch for each in PredictionFiles(folder).read_epochs(0)] == [1, 2, 3, 4]
    (report,) = train(other, tmp_path, until=5, after=4)
    check_kept(folder, [*reports, report], all_epochs=files == "whole")


@pytest.mark.parametrize("validation", [Validation(), FOLDS])
def test_a_trial_that_waits_for_its_next_epoch_holds_no_logits(tmp_path: Path, validation: Validation) -> None:
    here = job(
        tmp_path, Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"), validation=validation)
    )
    waiting = Worker(here, tmp_path / "c", "cpu").begin(Suggestion(0, {"lr": 0.01}, 4), after=0)
    waiting.add_epoch(waiting.trainable.step(), 1.0)
    assert kept(tmp_path / "predictions") is not None
    assert waiting.trainable.validation_logits is None  # type: ignore[attr-defined]


class Own:
    """Training code of a user, which offers what it is told as `validation_logits`."""

    offers: Any = None

    def __init__(self, config: Mapping[str, Any], model: object, data: SearchData, device: str) -> None:
        self._data, self._epoch = data, 0

    @property
    def validation_logits(self) -> Any:
        return self.offers(self._data.validation) if callable(self.offers) else self.offers

    def step(self) -> Mapping[str, float]:
        self._epoch += 1
        return {"val_loss": 1 / self._epoch}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch = state["epoch"]


class OwnLogits(Own):
    offers = staticmethod(lambda part: -torch.nn.functional.one_hot(part.labels, 10))


class WrongShape(Own):
    offers = torch.zeros(3, 10)


class Diverges(Own):
    offers = staticmethod(lambda part: torch.full((len(part), 10), torch.nan))


def test_training_code_of_the_user_may_offer_logits_too(tmp_path: Path) -> None:
    train(job(tmp_path, Task(None, None, dataset=DatasetSpec("digits")), OwnLogits), tmp_path)
    found = kept(tmp_path / "predictions")
    assert found is not None
    assert found.epoch == 4
    assert found.metrics()["accuracy"] == 0


@pytest.mark.parametrize("code", [Own, Diverges])
def test_without_finite_logits_nothing_is_written(tmp_path: Path, code: type[Own]) -> None:
    train(job(tmp_path, Task(None, None, dataset=DatasetSpec("digits")), code), tmp_path)
    assert not (tmp_path / "predictions").exists()
    assert notices.read(tmp_path / "c") == []


def test_logits_of_a_wrong_shape_are_not_kept_and_a_notice_says_so_once(tmp_path: Path) -> None:
    train(job(tmp_path, Task(None, None, dataset=DatasetSpec("digits")), WrongShape), tmp_path)
    assert not (tmp_path / "predictions").exists()
    (line,) = notices.read(tmp_path / "c")
    assert line.startswith(
        "validation predictions are not kept: `validation_logits` of the trainable have shape (3, 10)"
    )


def test_more_logits_than_the_limit_are_not_kept_and_a_notice_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    n_images = predictions.MAX_VALUES // 1000 + 1
    part = Part(torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(n_images, 1, 1, 1), torch.zeros(n_images).long())
    data = SearchData(part, part, tuple(map(str, range(1000))))
    files = KeptPredictions(None, said.append)  # type: ignore[arg-type]  # nothing is written
    assert files.of_trial(0, None, [data], after=0) is None  # type: ignore[arg-type]
    assert said == [
        "validation predictions are not kept: 8,001 images and 1,000 classes make more than 8,000,000 logits"
    ]


def test_a_job_that_keeps_none_and_a_task_without_data_write_nothing(tmp_path: Path) -> None:
    space = job(tmp_path).space
    train(Job(space, 0, tmp_path / "data"), tmp_path)
    assert not (tmp_path / "predictions").exists()
    assert Targets.of([None]) is None
