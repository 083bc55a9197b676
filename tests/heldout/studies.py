"""Small searches on real images, to be tested on held-out data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpo.heldout import record
from hpo.loop import Session, begin
from hpo.record import Budget, Settings, StudyFolder
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical
from hpo.training import Build

SETTINGS = Settings(backend="grid", runner="inline", devices="cpu")
SPACE = SearchSpace(
    "digits",
    {"lr": Categorical((1e-3, 1e-2, 5e-2))},
    Fidelity(4),
    Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits")),
    {"optimizer": "adam", "batch_size": 64},
)


def searched(folder: Path, space: SearchSpace = SPACE, *, trials: int = 5, trainable: Build | None = None) -> Path:
    """The folder of a finished search of at most `trials` trials."""
    begin(folder, space, SETTINGS, Budget(trials=trials), session=Session(trainable))
    return folder


def content(folder: Path) -> dict[str, Any]:
    """The content of the `test.json` of a study."""
    loaded: dict[str, Any] = json.loads((folder / "test.json").read_text())
    return loaded


def record_of(folder: Path) -> record.TestRecord:
    """The record of the tests of a study."""
    return record.TestRecord.read(StudyFolder.reopen(folder))
