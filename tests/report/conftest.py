"""The studies that the tests of reports show: a tested one of digits, and small ones whose trials are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.record import Budget, Settings, StudyFolder
from hpo.space import Categorical, Fidelity, Float, SearchSpace, Task
from hpo.trial import Decision, Report, Suggestion
from tests.figures.conftest import folder as tested_folder
from tests.figures.conftest import tested as tested

__all__ = ["tested", "tested_folder"]
SPACE = SearchSpace(
    "written", {"x": Float(0, 1), "kind": Categorical(("<b>bold</b>", "plain"))}, Fidelity(3), Task("tests.toy")
)


def write(folder: Path, n: int, *, losses: bool = True, settings: Settings | None = None) -> StudyFolder:
    """A study of `n` trials, of which every third reaches the last epoch. Their loss is that of `x`, or NaN."""
    folder.mkdir(parents=True)
    study = StudyFolder(folder, SPACE, settings or Settings(runner="inline"), Budget(trials=n))
    ledger = study.begin()
    for trial in range(n):
        x = (trial * 7919 % 1000) / 1000
        ledger.suggest(Suggestion(trial, {"x": x, "kind": SPACE.domains["kind"].grid()[trial % 2]}, until=3))
        for epoch in range(1, 4 if trial % 3 == 0 else 2):
            loss = (x - 0.3) ** 2 + 1 / epoch if losses else float("nan")
            report = Report(
                trial, epoch, loss if losses else float("inf"), {"val_loss": loss, "val_accuracy": 0.5}, 1.0
            )
            ledger.record(report)
        if trial % 3:
            ledger.settle(report, {trial: Decision.STOP})
    ledger.close_unfinished("the budget is spent")
    ledger.close()
    return study


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "report.html"
