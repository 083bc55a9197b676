"""Spaces that differ from a valid one, and what is said of them."""

from typing import Any

from hpo import plugins, spacefile
from hpo.errors import SpaceFileError

TASK = {"regime": "fine_tune", "model": "resnet18", "weights": "none", "dataset": "digits"}
LR = {"lr": {"low": 1e-4, "high": 0.1, "log": True}}


def content(space: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    task = {**TASK, **changes.pop("task", {})}
    return {"task": task, "space": {**LR, **(space or {})}, "fidelity": {"low": 1, "high": 27}, **changes}


def mistakes(space: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    try:
        spacefile.parse(content(space, **changes))
    except SpaceFileError as error:
        return list(error.mistakes)
    return []


def notices(space: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    return plugins.notices(spacefile.parse(content(space, **changes)))
