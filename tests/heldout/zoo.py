"""Small studies on a folder of pictures that a test changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpo.record import Settings
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical

COUNTS = {"cat": 15, "dog": 15}
LR = {"lr": Categorical((0.01, 0.02, 0.03, 0.04))}


def space(rare_classes: str | None = None, **task: Any) -> SearchSpace:
    options = {"folder": "zoo", **({} if rare_classes is None else {"rare_classes": rare_classes})}
    chosen = Task(**{"regime": "from_scratch", "model": "softmax_regression"} | task, dataset=spec(options))
    return SearchSpace("zoo", LR, Fidelity(1), chosen, {"image_size": 4, "batch_size": 8})


def spec(options: dict[str, Any], name: str = "image_folder") -> DatasetSpec:
    return DatasetSpec(name, options)


def settings(root: Path, **others: Any) -> Settings:
    return Settings(**{"backend": "grid", "runner": "inline", "devices": "cpu", "data": str(root)} | others)
