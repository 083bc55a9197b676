"""Objectives that are functions of the user, in the training of a trial."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Float
from hpo.training.builder import Job
from hpo.training.own_objective import objective_digest, own_metric
from hpo.training.worker import Worker
from hpo.trial import Report, Suggestion
from trainables.errors import SetupError

SOURCE = """
import torch

FACTOR = 2.0


def kept(logits, labels):
    torch.save((logits, labels), __file__ + ".pt")
    return FACTOR * (logits.argmax(1) != labels).double().mean()


def raises(logits, labels):
    return {}["x"]


def nothing(logits, labels): ...
def text(logits, labels): return "0.5"
def vector(logits, labels): return logits[0]
def entry(logits, labels): return logits[:1, 0]
def infinite(logits, labels): return float("inf")
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own_losses.py"
    path.write_text(SOURCE)
    return path


def space(name: str) -> SearchSpace:
    task = Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"))
    made = SearchSpace("digits", {"lr": Float(1e-4, 1e-1, log=True)}, Fidelity(9), task, objective=f"own_losses:{name}")
    return made.located(Path())


def report(space: SearchSpace, folder: Path) -> Report:
    """The first epoch of a trial."""
    worker = Worker(Job(space, 0, folder), folder, "cpu")
    return next(iter(worker.train(Suggestion(0, {"lr": 1e-2}, until=2), after=0)))


def test_an_epoch_reports_what_the_function_makes_of_the_logits_of_the_whole_validation_part(
    file: Path, tmp_path: Path
) -> None:
    told = report(space("kept"), tmp_path)
    logits, labels = torch.load(f"{file}.pt")
    assert (logits.shape, logits.dtype, labels.shape, labels.dtype) == (
        *((287, 10), torch.float32),
        *((287,), torch.int64),
    )
    wrong = float((logits.argmax(1) != labels).double().mean())
    assert told.loss == told.metrics["val_kept"] == 2 * wrong
    assert wrong == pytest.approx(1 - told.metrics["val_accuracy"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("raises", r"objective own_losses:raises raised KeyError: 'x' \(.*own_losses.py:13\)$"),
        ("nothing", "objective own_losses:nothing returned None: it must return one number, which is minimised"),
        ("text", "objective own_losses:text returned '0.5': it must return one number"),
        ("vector", r"objective own_losses:vector returned tensor\(\[.* of shape \(10,\): it must return one number"),
    ],
)
def test_a_function_that_gives_no_number_is_named_with_what_it_gave(
    file: Path, tmp_path: Path, name: str, told: str
) -> None:
    metric = own_metric(space(name))
    assert metric is not None
    with pytest.raises(SetupError, match=told):
        metric.compute(torch.zeros(4, 10), torch.arange(4))


def test_a_tensor_with_one_entry_is_a_number_and_a_value_that_is_not_finite_ends_the_trial(
    file: Path, tmp_path: Path
) -> None:
    metric = own_metric(space("entry"))
    assert metric is not None
    assert metric.compute(torch.full((4, 10), 0.25), torch.arange(4)) == 0.25
    told = report(space("infinite"), tmp_path)
    assert (told.last, told.loss) == (True, math.inf)


def test_a_function_that_cannot_take_logits_that_are_not_finite_gives_nan_for_them(file: Path) -> None:
    metric = own_metric(space("raises"))
    assert metric is not None
    assert math.isnan(metric.compute(torch.full((4, 10), math.nan), torch.arange(4)))


def test_the_digest_follows_the_code_of_the_function_and_what_it_uses(file: Path) -> None:
    before = objective_digest(space("kept"))
    assert before is not None
    file.write_text(SOURCE.replace("def raises", "# a comment\ndef raises"))
    assert objective_digest(space("kept")) == before
    file.write_text(SOURCE.replace("FACTOR = 2.0", "FACTOR = 3.0"))
    assert objective_digest(space("kept")) != before
    assert objective_digest(replace(space("kept"), objective="val_error")) is None
