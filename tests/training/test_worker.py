from __future__ import annotations

import sys
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import HpoError, TaskError
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Float
from hpo.space.objectives import ERRORS
from hpo.training.builder import Builder, Job, trial_seed
from hpo.training.trial_run import objective
from hpo.training.worker import Worker
from hpo.trial import Report, Suggestion
from tests import toy
from tests.trainables import toys
from trainables.data.dataset import SearchData
from trainables.features import feature_cache, fingerprint

DIGITS = SearchSpace(
    "digits",
    {"lr": Float(1e-4, 1e-1, log=True)},
    Fidelity(9),
    Task("from_scratch", "small_cnn", dataset=DatasetSpec("digits")),
)


def train(job: Job, folder: Path, trial: int, lr: float, until: int, after: int = 0) -> list[Report]:
    """Epochs of a real training, without their times."""
    worker = Worker(job, folder, "cpu")
    reports = worker.train(Suggestion(trial, {"lr": lr}, until), after=after)
    return [replace(report, seconds=0.0) for report in reports]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def test_a_real_training_that_is_cut_short_goes_on_exactly(folder: Path, tmp_path: Path) -> None:
    job = Job(DIGITS, seed=0, data=tmp_path)
    whole = train(job, folder, 0, 2e-3, until=3)
    first = train(job, folder, 1, 2e-3, until=3)
    assert [report.loss for report in first] != [report.loss for report in whole]  # a trial has its own seed
    for path in folder.iterdir():
        path.unlink()
    parts = train(job, folder, 0, 2e-3, until=1) + train(job, folder, 0, 2e-3, until=3, after=1)
    assert parts == whole
    assert whole[-1].metrics["val_accuracy"] > 0.5


def test_a_training_whose_batches_are_computed_in_parts_learns_the_same_and_says_so(
    folder: Path, tmp_path: Path
) -> None:
    space = replace(DIGITS, fixed={"oom": "accumulate", "dropout": 0.0, "optimizer": "sgd"})
    worker = Worker(Job(space, seed=0, data=tmp_path), folder, "cpu")
    whole = list(worker.train(Suggestion(0, {"lr": 2e-3}, 2), after=0))
    (folder / "0.pt").unlink()
    parts = list(worker.train(Suggestion(0, {"lr": 2e-3}, 1), after=0, micro_batches=2))
    parts += worker.train(Suggestion(0, {"lr": 2e-3}, 2), after=1)  # as the checkpoint says
    assert [report.micro_batches for report in whole] == [None, None]
    assert [report.micro_batches for report in parts] == [2, 2]
    for report, same in zip(parts, whole, strict=True):
        assert report.metrics["train_loss"] == pytest.approx(same.metrics["train_loss"], rel=0.05)


def test_a_worker_that_forgets_frees_the_features_of_images_that_are_still_referred_to(
    folder: Path, tmp_path: Path
) -> None:
    model, part = toys.model(), toys.part(9, seed=0)
    model.freeze(["first"])
    features, _ = feature_cache.SHARED.get(model, part, 1, fingerprint.of_stages(model, 1))
    reference = weakref.ref(features)
    del features
    assert reference() is not None
    Worker(Job(DIGITS, seed=0, data=tmp_path), folder, "cpu").forget()
    assert reference() is None
    assert len(part) == 9


def test_importing_hpo_imports_nothing_that_trains() -> None:
    """All of `trainables` is imported where it is used, but for the module that makes names printable."""
    import subprocess

    script = "import sys, hpo.runners.fused, hpo.runners.processes, hpo.loop, hpo.final_model, hpo.cli; "
    script += "print(*sorted(name for name in sys.modules if name.startswith(('torch', 'trainables'))))"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["trainables", "trainables.errors"]


def test_an_unknown_model_is_named(folder: Path, tmp_path: Path) -> None:
    space = replace(DIGITS, task=replace(DIGITS.task, model="smal_cnn"))
    with pytest.raises(TaskError, match="did you mean 'small_cnn'"):
        train(Job(space, 0, tmp_path), folder, 0, 1e-3, until=1)


def test_a_model_without_a_data_set_is_an_error(tmp_path: Path) -> None:
    space = replace(toy.space(), task=Task("tests.toy", "small_cnn"))
    with pytest.raises(HpoError, match="needs a data set"):
        Builder(Job(space, 0, tmp_path), "cpu").build({"x": 0.5}, seed=0)


def test_a_searched_regime_and_model_are_built_by_their_names(folder: Path, tmp_path: Path) -> None:
    space = replace(DIGITS, task=Task(dataset=DatasetSpec("digits")))
    worker = Worker(Job(space, 0, tmp_path), folder, "cpu")
    suggestion = Suggestion(0, {"lr": 1e-2, "regime": "from_scratch", "model": "softmax_regression"}, until=1)
    (report,) = worker.train(suggestion, after=0)
    assert report.metrics["val_loss"] < 3


def test_a_trainable_without_the_objective_is_an_error_that_lists_what_it_returned() -> None:
    with pytest.raises(HpoError, match="returned no 'val_loss', but loss"):
        objective("val_loss", {"loss": 1.0})
    with pytest.raises(HpoError, match="returned no 'val_accuracy'"):
        objective("val_error", {"val_loss": 1.0})
    with pytest.raises(HpoError, match=r"returned no 'val_f1', but val_accuracy.* `objective: val_error`"):
        objective("val_f1_error", {"val_accuracy": 1.0})


@pytest.mark.parametrize(("name", "metric"), ERRORS.items())
def test_an_error_is_one_minus_its_metric(name: str, metric: str) -> None:
    metrics = {metric: 0.25}
    assert objective(name, metrics) == 0.75
    assert metrics == {metric: 0.25, name: 0.75}


@pytest.mark.parametrize("name", [name for name in ERRORS if name != "val_top5_error"])
def test_a_search_by_an_error_reports_it(name: str, folder: Path, tmp_path: Path) -> None:
    space = replace(
        DIGITS, objective=name, task=Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"))
    )
    (report,) = train(Job(space, 0, tmp_path), folder, 0, 1e-2, until=1)
    assert report.loss == report.metrics[name] == 1 - report.metrics[ERRORS[name]] < 0.9


def test_the_top_5_error_of_ten_classes_is_refused_before_training(folder: Path, tmp_path: Path) -> None:
    space = replace(DIGITS, objective="val_top5_error")
    with pytest.raises(TaskError, match="val_top5_error needs more than 10 classes, but there are 10"):
        train(Job(space, 0, tmp_path), folder, 0, 1e-3, until=1)


def test_the_auroc_of_a_validation_part_of_one_class_is_refused_before_training(tmp_path: Path) -> None:
    train_part, one_class = toys.part(30, seed=0), toys.part(9, seed=1)
    one_class = one_class.relabelled(torch.ones_like(one_class.labels))
    builder = Builder(Job(replace(DIGITS, objective="val_auroc_error"), 0, tmp_path), "cpu")
    data = SearchData(train_part, one_class, toys.CLASSES)
    vars(builder)["_assembly"] = SimpleNamespace(search_data=lambda settings: (data,))
    with pytest.raises(TaskError, match=f"AUROC with one class .* all 9 validation images show '{toys.CLASSES[1]}'"):
        builder.build({"lr": 0.1}, 0)


@given(seed=st.integers(0, 2**31), trial=st.integers(0, 10**6))
def test_the_seed_of_a_trial_depends_on_study_and_number_and_fits_32_bits(seed: int, trial: int) -> None:
    assert 0 <= trial_seed(seed, trial) < 2**32
    assert trial_seed(seed, trial) == trial_seed(seed, trial)
    assert trial_seed(seed, trial) != trial_seed(seed, trial + 1)
    assert trial_seed(seed, trial) != trial_seed(seed + 1, trial)
