"""The same images in the same parts give the same losses, however the images lie on disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hpo.errors import TaskError
from hpo.space import DatasetSpec, Task, Validation
from hpo.training.builder import Builder
from tests.trainables.datasets import pictures
from tests.training.test_tasks import job, train
from trainables.data.dataset import Files
from trainables.data.heldout import held_out
from trainables.data.splits import split
from trainables.datasets import image_folder

TABLE = """
from pathlib import Path
from trainables.data import ImageTable, SplitOptions, from_files
OPTIONS = {"folder": "the folder with list.csv", "group": "the groups"}
def build(root, *, folder=None, group=None):
    rows = [line.split(",") for line in Path(folder, "list.csv").read_text().splitlines()]
    paths, labels, splits, groups = zip(*reversed(rows))
    table = ImageTable(paths, labels, splits=splits, groups=groups, folder=Path(folder))
    return from_files("table", table)
"""
FIXED = {"image_size": 8, "augmentation": "flip_jitter"}


def lay_out(folder: Path, kind: str) -> None:
    """Write class folders: of small pictures, or with the first cartoons of three classes of PACS, or with all."""
    if kind == "pictures":
        pictures.folders(folder, {"cat": 25, "dog": 30, "owl": 20}, suffix=".png")
        return
    if "HPO_DATA" not in os.environ:
        pytest.skip("HPO_DATA names no folder of data sets")
    cartoons = Path(os.environ["HPO_DATA"], "pacs/cartoon")
    if kind == "all pacs":
        shutil.copytree(cartoons, folder)
        return
    for name in ("dog", "giraffe", "person"):
        (folder / name).mkdir(parents=True)
        for path in sorted((cartoons / name).iterdir())[:40]:
            shutil.copy(path, folder / name)


def parts_of(folder: Path) -> dict[str, Files]:
    """The parts that a search on class folders has by default."""
    dataset = image_folder.build(None, folder=str(folder))
    both = split(dataset.training(), classes=dataset.classes, fraction=0.2, seed=42)
    found = {"train": both.train, "val": both.validation, "test": held_out(dataset)}
    return {name: part for name, part in found.items() if isinstance(part, Files)}


@pytest.mark.parametrize("kind", ["pictures", "pacs", pytest.param("all pacs", marks=pytest.mark.slow)])
def test_class_folders_parts_a_manifest_and_a_table_give_the_same_losses_bit_for_bit(tmp_path: Path, kind: str) -> None:
    plain, with_parts = tmp_path / "plain", tmp_path / "with_parts"
    lay_out(plain, kind)
    rows = []
    for part, files in parts_of(plain).items():
        for i, (path, name) in enumerate(zip(files.paths, files.names, strict=True)):
            target = with_parts / part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            rows.append(f"{name},{name.partition('/')[0]},{part},{part}{i // 3}")
    (plain / "list.csv").write_text("\n".join(rows))
    (plain / "manifest.csv").write_text("\n".join(["path,label,split,group", *rows]))
    (tmp_path / "table_of_images.py").write_text(TABLE)
    datasets = [
        DatasetSpec("image_folder", {"folder": str(plain)}),
        DatasetSpec("image_folder", {"folder": str(with_parts)}),
        DatasetSpec("manifest", {"file": str(plain / "manifest.csv")}),
        DatasetSpec("table_of_images", {"folder": str(plain)}, file=str(tmp_path / "table_of_images.py")),
    ]
    reports = []
    for i, dataset in enumerate(datasets):
        task = Task("from_scratch", "softmax_regression", dataset=dataset)
        recorded = Builder(job(task, tmp_path, **FIXED), "cpu").record_data(held_out)
        assert len(recorded["dataset"]["held_out_part"]["names"]) == len(parts_of(plain)["test"])
        reports.append(train(job(task, tmp_path, **FIXED), tmp_path / str(i)))
    assert all(report == reports[0] for report in reports)


def test_validation_in_the_space_is_an_error_beside_a_given_validation_part(tmp_path: Path) -> None:
    pictures.folders(tmp_path / "train", {"cat": 5, "dog": 5})
    pictures.folders(tmp_path / "val", {"cat": 5, "dog": 5}, first=10)
    dataset = DatasetSpec("image_folder", {"folder": str(tmp_path), "held_out": "none"})
    for validation in (Validation(0.2), Validation(folds=3), Validation(seed=1), Validation(0.2, group="[0-9]+")):
        task = Task("from_scratch", "softmax_regression", dataset=dataset, validation=validation)
        with pytest.raises(
            TaskError, match=r"`task.validation` must not be given: .* has a validation part of its own"
        ):
            Builder(job(task), "cpu").record_data(held_out)
    recorded = Builder(job(Task("from_scratch", "softmax_regression", dataset=dataset)), "cpu").record_data(held_out)
    assert recorded["dataset"]["held_out_part"] is None
    assert recorded["dataset"]["assignment"] == (*[0] * 5, *[1] * 5) * 2
    assert recorded["notes"][0] == (
        f"images: 10 train ({tmp_path.name}/train), 10 validation ({tmp_path.name}/val), none held out"
    )


def test_a_held_out_part_is_cut_by_groups_beside_a_given_validation_part(tmp_path: Path) -> None:
    for part, first in (("train", 0), ("val", 40)):
        pictures.folders(tmp_path / part, {"cat": 20, "dog": 20}, first=first)
    task = Task(
        "from_scratch",
        "softmax_regression",
        dataset=DatasetSpec("image_folder", {"folder": str(tmp_path)}),
        validation=Validation(group=r"_(\d+)\d\."),
    )
    recorded = Builder(job(task), "cpu").record_data(held_out)["dataset"]
    groups = [
        {name.rpartition("_")[2][:-5] for name in part["names"]}
        for part in (recorded["training"], recorded["held_out_part"])
    ]
    assert all(groups)
    assert not groups[0] & groups[1]


def grouped(tmp_path: Path, validation: Validation, **options: str) -> dict[str, set[str]]:
    """The groups of the files of each part, with three pictures a group."""
    folder = tmp_path / "plants"
    if not folder.exists():
        pictures.folders(folder, {"rose": 30, "tulip": 45}, suffix=".png")
        for path in folder.rglob("*.png"):
            number = int(path.stem.removeprefix("image_"))
            path.rename(path.with_name(f"plant{number // 3:03}_{number}.png"))
    spec = DatasetSpec("image_folder", {"folder": str(folder), **options})
    task = Task("from_scratch", "softmax_regression", dataset=spec, validation=validation)
    recorded = Builder(job(task), "cpu").record_data(held_out)["dataset"]
    found: dict[str, set[str]] = {}
    for name, part in zip(recorded["training"]["names"], recorded["assignment"], strict=True):
        found.setdefault(str(part), set()).add(name.partition("_")[0])
    found["held out"] = {name.partition("_")[0] for name in recorded["held_out_part"]["names"]}
    return found


@pytest.mark.parametrize("validation", [Validation(group="^plant[0-9]+"), Validation(folds=4, group="(plant.*)_")])
def test_no_group_stands_in_two_parts_nor_in_two_folds_nor_is_held_out_as_well(
    tmp_path: Path, validation: Validation
) -> None:
    parts = grouped(tmp_path, validation)
    assert sum(map(len, parts.values())) == len(set[str]().union(*parts.values())) == 25
    assert len(parts["held out"]) == 5


def test_groups_of_a_data_set_that_takes_none_must_not_stand_in_its_two_parts(tmp_path: Path) -> None:
    pictures.folders(tmp_path / "pacs/photo", {"cat": 20, "dog": 20})
    task = Task(
        "from_scratch",
        "softmax_regression",
        dataset=DatasetSpec("pacs", {"domain": "photo"}),
        validation=Validation(group=r"image_00(\d)"),
    )
    with pytest.raises(
        TaskError,
        match=r"'pacs photo': group '\d' has images in two parts, training .* held-out .*choose another `group`",
    ):
        Builder(job(task, tmp_path), "cpu").record_data(held_out)


@pytest.mark.parametrize(
    ("dataset", "group", "message"),
    [
        (DatasetSpec("digits"), "folder", "the images of data set 'digits' are in memory"),
        (None, "([a", r"`task.validation.group` must be `folder` or a regular expression"),
        (None, "nothing", "`task.validation.group`: 'nothing' matches nothing in the name of"),
        (None, "folder", "class 'rose' has 1 group; `dataset.held_out: 0.2` needs 2"),
    ],
)
def test_wrong_groups_are_an_error_of_the_task(
    tmp_path: Path, dataset: DatasetSpec | None, group: str, message: str
) -> None:
    if dataset is None:
        pictures.folders(tmp_path / "plants", {"rose": 6, "tulip": 6})
        dataset = DatasetSpec("image_folder", {"folder": str(tmp_path / "plants")})
    task = Task("from_scratch", "softmax_regression", dataset=dataset, validation=Validation(group=group))
    with pytest.raises(TaskError, match=message):
        Builder(job(task), "cpu").record_data(held_out)
