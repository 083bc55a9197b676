from __future__ import annotations

from pathlib import Path

import pytest

from hpo.record import Budget, Ledger, Settings, StudyFolder
from hpo.space import Categorical, DatasetSpec, Domain, Fidelity, SearchSpace, Task
from hpo.trial import Crash, Decision, Report, Scalar, Suggestion
from tests import toy


def report(trial: int, fidelity: int, loss: float, raw: float) -> Report:
    return Report(trial, fidelity, loss, {"val_loss": raw, "val_accuracy": 0.5, "train_loss": raw / 2}, 1.25)


def write_trials(ledger: Ledger) -> None:
    """A complete trial whose best epoch is its second, a paused one, a crashed one."""
    ledger.suggest(Suggestion(0, {"kind": "a", "x": 0.25, "y": 0.5}, 9, 2))
    for epoch, (loss, raw) in enumerate([(3.0, 3.0), (2.0, 2.0), (2.0, 2.5)], start=1):
        ledger.record(report(0, epoch, loss, raw))
    ledger.settle(report(0, 3, 2.0, 2.5), {0: Decision.STOP})
    ledger.suggest(Suggestion(1, {"kind": "b", "x": 0.125}, 1))
    ledger.record(report(1, 1, 1.0, 1.0))
    ledger.settle(report(1, 1, 1.0, 1.0), {1: Decision.PAUSE})
    ledger.suggest(Suggestion(2, {"kind": "b", "x": 0.0}, 9))
    ledger.record(Crash(2, "ValueError", "no"))
    ledger.settle(Crash(2, "ValueError", "no"), {})


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    folder = tmp_path / "s"
    folder.mkdir()
    study = StudyFolder(folder, toy.space(), Settings(runner="inline"), Budget())
    ledger = study.begin()
    write_trials(ledger)
    ledger.close()
    return study


@pytest.fixture
def published(tmp_path: Path) -> StudyFolder:
    """A study of a space that names published numbers: one trial with their hyperparameters, one without."""
    domains: dict[str, Domain] = {"lr": Categorical((1e-3, 1e-2))}
    task = Task(regime="from_scratch", model="alexnet", dataset=DatasetSpec("caltech101"))
    fixed: dict[str, Scalar] = {"optimizer": "sgd", "momentum": 0.9, "step_size": 20, "gamma": 0.1}
    space = SearchSpace("p", domains, Fidelity(9), task, fixed, reference="caltech101_alexnet_scratch_default")
    (tmp_path / "p").mkdir()
    study = StudyFolder(tmp_path / "p", space, Settings(runner="inline"), Budget())
    ledger = study.begin()
    for number, (lr, loss) in enumerate([(1e-3, 4.25), (1e-2, 1 / 3)]):
        ledger.suggest(Suggestion(number, {"lr": lr}, 9))
        ledger.record(report(number, 1, loss, loss))
    ledger.close()
    return study
