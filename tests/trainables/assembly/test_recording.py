"""The record of a task's data: it holds the files that were split."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits as digits

from tests.trainables.assembly.test_assembly import Named, Task, load
from tests.trainables.datasets import pictures
from trainables.assembly import Assembly, recording
from trainables.data.dataset import Files
from trainables.data.manifest import Manifest, RecordedFiles
from trainables.data.preprocessing import Validation


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
    assert len(found["training"]["names"]) + len(found["held_out_part"]["names"]) == n_files
    assert len(found["training"]["names"]) == len(found["assignment"])


def test_the_groups_of_the_training_part_are_counted(tmp_path: Path) -> None:
    """The number of an image, without its last digit, is its group: 3 groups of cats and 3 of dogs."""
    pictures.folders(tmp_path / "zoo", {"cat": 30, "dog": 30})
    for options, n_groups in (({"group": r"image_(\d+)\d"}, 4), ({}, None)):
        task = Task(dataset=Named("image_folder", {"folder": "zoo", **options}))
        assembly = Assembly(task, load, tmp_path, "cpu")
        found = recording.record(assembly, lambda dataset: dataset.held_out(), (), check_with=None)
        assert found["n_groups"] == n_groups


def test_a_manifest_whose_split_is_of_other_images_is_refused(tmp_path: Path) -> None:
    pictures.folders(tmp_path / "zoo", {"cat": 15, "dog": 15}, first=200)
    found = recording.record(loading(tmp_path, []), lambda dataset: dataset.held_out(), (), check_with=None)
    damaged = {**found["dataset"], "assignment": found["dataset"]["assignment"][1:]}
    with pytest.raises(ValueError, match="the manifest has 25 training images, but a split of 24"):
        Manifest.from_plain(damaged)


def test_images_in_no_merged_class_are_counted_in_the_first_line_and_of_the_pretraining_set_in_another(
    tmp_path: Path,
) -> None:
    merged = {"low": tuple("0123"), "high": tuple("5678")}
    pictures.folders(tmp_path / "zoo", {"cat": 5, "dog": 5, "horse": 6}, first=200)
    other = Named("image_folder", {"folder": "zoo", "held_out": "none"}, {"a": ("cat",), "b": ("dog",)})
    task = Task(dataset=Named("digits", merged_classes=merged), pretraining=other)
    found = recording.record(
        Assembly(task, load, tmp_path, "cpu"), lambda dataset: dataset.held_out(), (), check_with=None
    )
    first, *others = found["notes"]
    counts = torch.tensor(digits().target).bincount()
    assert first.endswith(f"; in no merged class: {counts[4] + counts[9]} images (4, 9)")
    assert others == ["images to pretrain on: in no merged class: 6 images (horse)"]


class Listed:
    """A data set of the files with these names, whether they are there or not."""

    name = "listed"
    classes = ("a", "b")

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._files = Files(tuple(folder / name for name in names), torch.tensor([0, 1] * 3), folder=folder)

    def training(self) -> Files:
        return self._files

    def held_out(self) -> Files:
        return self._files.take([0])


def test_a_file_that_cannot_be_opened_is_no_copy_of_another(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for i in range(1, 6):
        (tmp_path / f"{i}.png").write_bytes(bytes([i]))
    names = ["loop", *(f"{i}.png" for i in range(1, 6))]

    def find(package: str, name: str) -> Any:
        built = Listed(tmp_path, names)
        if package != "trainables.datasets":
            return load(package, name)
        return SimpleNamespace(build=lambda root: built, __name__="listed")

    assembly = Assembly(Task(dataset=Named("listed"), validation=Validation(0.5, None, 0)), find, tmp_path, "cpu")
    recorded = recording.record(assembly, lambda dataset: dataset.held_out(), (), check_with=None)
    names[0] = "another"
    (tmp_path / "another").symlink_to("nowhere")
    changes = recording.compare(assembly, recorded, lambda dataset: dataset.held_out()).files["training"]
    assert changes == (recording.Change(tmp_path / "loop", "removed"),)


def test_the_record_says_which_images_are_of_one_group(tmp_path: Path) -> None:
    pictures.folders(tmp_path / "zoo", {"cat": 30, "dog": 30})
    task = Task(dataset=Named("image_folder", {"folder": "zoo", "group": r"image_(\d+)\d"}))
    assembly = Assembly(task, load, tmp_path, "cpu")
    plain = recording.record(assembly, lambda dataset: dataset.held_out(), (), check_with=None)["dataset"]
    recorded = Manifest.from_plain(plain)
    assert recorded.to_plain() == plain
    for part in (recorded.training, recorded.held_out_part):
        assert isinstance(part, RecordedFiles)
        named = [name.rpartition("image_")[2][:-5] for name in part.names]
        pairs = set(zip(named, part.groups, strict=True))
        assert len(pairs) == len(set(named)) == len(set(part.groups))
        assert part.files(tmp_path).groups == tuple(map(str, part.groups))
        assert part.take([1, 0]).groups == (part.groups[1], part.groups[0])


def test_a_record_without_groups_is_that_of_an_earlier_version(tmp_path: Path) -> None:
    pictures.folders(tmp_path / "zoo", {"cat": 10, "dog": 10})
    assembly = Assembly(Task(dataset=Named("image_folder", {"folder": "zoo"})), load, tmp_path, "cpu")
    plain = recording.record(assembly, lambda dataset: dataset.held_out(), (), check_with=None)["dataset"]
    assert "groups" not in plain["training"]
    assert Manifest.from_plain(plain).to_plain() == plain
