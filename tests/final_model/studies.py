"""Small studies on a folder of pictures, whose best trial becomes a model folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpo.final_model import load_model
from hpo.loop import Session, begin
from hpo.record import Budget, StudyFolder
from hpo.space import Fidelity, SearchSpace, Validation
from hpo.training import Build
from tests.heldout import zoo


def searched(folder: Path, root: Path, *, fixed: dict[str, Any] | None = None, **task: Any) -> Path:
    """The folder of a finished search of two trials on pictures of 8 pixels a side, 3 epochs each."""
    return _searched(folder, root, space(fixed, **task), None)


def searched_with(folder: Path, root: Path, trainable: Build) -> Path:
    """The same with own training code."""
    return _searched(folder, root, space(), trainable)


def _searched(folder: Path, root: Path, chosen: SearchSpace, trainable: Build | None) -> Path:
    begin(folder, chosen, zoo.settings(root), Budget(trials=2), session=Session(trainable))
    return folder


def space(fixed: dict[str, Any] | None = None, *, folds: int | None = None, **task: Any) -> SearchSpace:
    found = replace(zoo.space(**{"model": "small_cnn"} | task), fidelity=Fidelity(3))
    if folds is not None:
        found = replace(found, task=replace(found.task, validation=Validation(fraction=None, folds=folds)))
    return replace(found, fixed={**found.fixed, "image_size": 8, "width": 4, **(fixed or {})})


def described(folder: Path) -> dict[str, Any]:
    """The content of `model.json`."""
    content: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return content


def held_out_files(study: Path, part: str = "held_out_part") -> tuple[list[Path], list[str]]:
    """The files of a part of a study's data set, and the class of each."""
    opened = StudyFolder.reopen(study)
    recorded = opened.data_record()
    assert recorded is not None
    files = recorded["dataset"][part]
    paths = [opened.data / files["folder"] / name for name in files["names"]]
    return paths, [recorded["dataset"]["classes"][label] for label in files["labels"]]


def accuracy(model: Path, study: Path, part: str = "held_out_part") -> float:
    """The accuracy of a model folder on the files of a part of its study's data set."""
    paths, true = held_out_files(study, part)
    return float((load_model(model, device="cpu").predict(paths)["class"] == true).mean())
