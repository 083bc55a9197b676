"""The record of a task's data: it holds the files that were split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trainables.assembly.test_assembly import Named, Task, load
from tests.trainables.datasets import pictures
from trainables.assembly import Assembly, recording
from trainables.data.manifest import Manifest


def loading(root: Path, names: list[str]) -> Assembly:
    """The Assembly of a folder to which each loading adds a file. `names` receives the name of each data set loaded."""

    class Growing:
        @staticmethod
        def build(root: Path, **options: Any) -> Any:
            pictures.folders(root / "zoo", {"cat": 1}, first=100 - len(names))  # comes before the other new files
            names.append("zoo")
            return load("trainables.datasets", "image_folder").build(root, **options)

    def find(package: str, name: str) -> Any:
        return Growing if package == "trainables.datasets" else load(package, name)

    return Assembly(Task(dataset=Named("growing", {"folder": "zoo"})), find, root, "cpu")


def test_the_files_that_are_recorded_are_those_that_were_split(tmp_path: Path) -> None:
    pictures.folders(tmp_path / "zoo", {"cat": 15, "dog": 15}, first=200)
    names: list[str] = []
    assembly = loading(tmp_path, names)
    found = recording.record(assembly, lambda dataset: dataset.held_out(), (), check_with=None)["dataset"]
    assert names == ["zoo"]
    n_files = len(list((tmp_path / "zoo").rglob("*.jpg")))
    assert len(found["training"]["names"]) + len(found["held"]["names"]) == n_files
    assert len(found["training"]["names"]) == len(found["assignment"])


def test_a_manifest_whose_split_is_of_other_images_is_refused(tmp_path: Path) -> None:
    pictures.folders(tmp_path / "zoo", {"cat": 15, "dog": 15}, first=200)
    found = recording.record(loading(tmp_path, []), lambda dataset: dataset.held_out(), (), check_with=None)
    damaged = {**found["dataset"], "assignment": found["dataset"]["assignment"][1:]}
    with pytest.raises(ValueError, match="the manifest has 25 training images, but a split of 24"):
        Manifest.from_plain(damaged)
