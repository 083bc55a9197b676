"""The files of a data set by relative paths: beside the space, in the working directory, in the folder of the data."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from tests.cli.commands import Hpo
from tests.trainables.datasets import pictures

OPTION = {"manifest": ("file", "table.csv"), "image_folder": ("folder", "images"), "huggingface": ("path", "saved")}
WORDS = ("--backend", "random", "--runner", "inline", "--study", "s", "-q")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a space for each data set, and its images. The folder of all data sets is another one."""
    monkeypatch.setenv("HPO_CACHE", "off")
    monkeypatch.setenv("HPO_DATA", str(tmp_path / "data"))
    folder = tmp_path / "mine"
    pictures.folders(folder / "images", {"daisy": 10, "rose": 10})
    write_table(folder / "table.csv")
    for name, (option, value) in OPTION.items():
        space = {
            "task": {
                "regime": "from_scratch",
                "model": "softmax_regression",
                "dataset": {"name": name, option: value},
            },
            "space": {"lr": {"low": 0.01, "high": 0.1}},
            "fixed": {"image_size": 4},
            "fidelity": {"high": 1},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(space))
    return folder


def write_table(path: Path) -> None:
    """Write a table of the images in the folder `images` beside it."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label"))
        rows.writerows((image.relative_to(path.parent), image.parent.name) for image in path.parent.glob("*/*/*.jpg"))


def save_to_disk(folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    images = sorted(folder.glob("*/*/*.jpg"))
    content = {"image": [str(path) for path in images], "label": [path.parent.name for path in images]}
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(content).cast_column("image", datasets.Image()).save_to_disk(str(folder / "saved"))


@pytest.mark.parametrize("name", OPTION)
def test_images_beside_the_space_are_searched_resumed_and_tested_from_elsewhere(
    hpo: Hpo, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "huggingface":
        save_to_disk(folder)
    result = hpo("search", "--space", folder / f"{name}.yaml", "--trials", 1, *WORDS)
    assert result.exit_code == 0, result.output
    study, (option, value) = tmp_path / "studies" / "s", OPTION[name]
    recorded = yaml.safe_load((study / "study.yaml").read_text())
    assert recorded["data_paths"] == {"dataset": {option: str(folder / value)}}
    assert recorded["space"]["task"]["dataset"][option] == value
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for result in (hpo("resume", study, "--trials", 2, "-q"), hpo("test", study)):
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["manifest", "image_folder"])
def test_a_path_is_looked_up_beside_the_space_before_the_folder_of_all_data_sets(
    hpo: Hpo, folder: Path, tmp_path: Path, name: str
) -> None:
    space = folder / f"{name}.yaml"
    pictures.folders(tmp_path / "data" / "images", {"oak": 10, "elm": 10}, first=20)
    write_table(tmp_path / "data" / "table.csv")
    assert hpo("search", "--space", space, "--trials", 1, *WORDS).exit_code == 0
    assert hpo("test", "s").exit_code == 0
    table = tmp_path / "studies" / "s" / "per_class.csv"
    assert {row["class"] for row in csv.DictReader(table.read_text().splitlines())} == {"daisy", "rose"}
    (tmp_path / "alone").mkdir()
    space = space.rename(tmp_path / "alone" / "space.yaml")
    assert hpo("search", "--space", space, "--trials", 1, *WORDS[:-2], "t").exit_code == 0
    assert hpo("test", "t").exit_code == 0
    table = tmp_path / "studies" / "t" / "per_class.csv"
    assert {row["class"] for row in csv.DictReader(table.read_text().splitlines())} == {"oak", "elm"}


@pytest.mark.parametrize("name", OPTION)
def test_a_path_that_is_nowhere_is_told_with_all_places(hpo: Hpo, folder: Path, tmp_path: Path, name: str) -> None:
    option, _ = OPTION[name]
    data = f"the folder of all data sets ({tmp_path / 'data'})"
    space = folder / f"{name}.yaml"
    space.write_text(space.read_text().replace(OPTION[name][1], "no/where"))
    result = hpo("search", "--space", space, "--trials", 1, *WORDS)
    assert result.exit_code == 2
    assert f"`dataset.{option}`: there is no 'no/where' in {folder}, {tmp_path} or {data}" in result.output
    for words in (("data", name), ("fetch", "--dataset", name)):
        result = hpo(*words, "--option", f"{option}=no/where")
        assert result.exit_code == 2
        assert f"`dataset.{option}`: there is no 'no/where' in {tmp_path} or {data}" in result.output
    assert not (tmp_path / "studies" / "s").exists()


def test_a_path_on_the_command_line_is_relative_to_the_working_directory(
    hpo: Hpo, folder: Path, tmp_path: Path
) -> None:
    pictures.folders(tmp_path / "images", {"oak": 10, "elm": 10, "fir": 10}, first=20)
    assert "3 classes: 24 images" in hpo("data", "image_folder", "--option", "folder=images").output
    words = ("--space", folder / "image_folder.yaml", "--trials", 1, *WORDS)
    assert hpo("search", *words, "--set", "task.dataset.folder=images").exit_code == 0
    recorded = yaml.safe_load((tmp_path / "studies" / "s" / "study.yaml").read_text())
    assert recorded["data_paths"] == {"dataset": {"folder": str(tmp_path / "images")}}
