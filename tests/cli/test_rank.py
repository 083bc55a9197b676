"""`hpo rank`: pretrained models are compared by their features, and the best of them become a space."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hpo import spacefile
from tests.cli.commands import Hpo
from trainables import vision

RANK = (
    "rank",
    "--dataset",
    "image_folder",
    "--option",
    "folder=flowers",
    "--fixed",
    "image_size=32",
    "--devices",
    "cpu",
)


def pictures(folder: Path, n: int = 12) -> None:
    """Pictures of three classes, each of another brightness."""
    rng = np.random.default_rng(len(folder.parts))
    for number, name in enumerate(("daisy", "rose", "tulip")):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(80 * number, 80 * number + 90, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the data: flowers, and weights of SqueezeNet, which are random."""
    monkeypatch.setenv("HPO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    pictures(tmp_path / "data" / "flowers")
    (tmp_path / "data" / "weights").mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = vision.models().get_model("squeezenet1_0", num_classes=1)
    torch.save(network.state_dict(), tmp_path / "data" / "weights" / "squeezenet1_0.pth")
    return tmp_path / "data"


@pytest.mark.slow
def test_models_are_ranked_and_the_best_become_a_space(hpo: Hpo, data: Path, tmp_path: Path) -> None:
    (tmp_path / "spaces").mkdir()
    result = hpo(*RANK, "--models", "squeezenet,resnet18", "--folds", 3, "--out", "spaces/flowers.yaml")
    assert result.exit_code == 0, result.output
    assert "resnet18 is skipped: `weights`: the ImageNet weights of resnet18 are not there" in result.output
    assert "hpo fetch --model resnet18" in result.output
    assert "3 folds of the search part" in result.output
    assert "next: hpo search --space spaces/flowers.yaml" in result.output
    space = spacefile.read(tmp_path / "spaces" / "flowers.yaml")
    assert (space.task.model, space.task.weights) == ("squeezenet", "imagenet")
    assert space.fixed["image_size"] == 32
    assert getattr(space.domains["regime"], "choices", None) == ("linear_probe", "fine_tune")
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("features-*.bin")}
    assert len(kept) == 1
    assert hpo(*RANK, "--models", "squeezenet").exit_code == 0
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("features-*.bin")} == kept


def test_the_ranking_can_be_printed_for_programs_while_a_space_is_written(hpo: Hpo, data: Path) -> None:
    given = "{name: image_folder, folder: flowers}"
    result = hpo(
        *RANK[:1], "--dataset", given, *RANK[5:], "--models", "squeezenet", "--format", "json", "--out", "a.yaml"
    )
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert spacefile.read(Path("a.yaml")).task.model == "squeezenet"
    assert row["model"] == "squeezenet"
    Path("a.yaml").write_text(Path("a.yaml").read_text() + "# mine\n")
    assert hpo(*RANK, "--models", "squeezenet", "--out", "a.yaml").exit_code == 0
    assert "# mine" not in Path("a.yaml").read_text()
    assert row["low"] < row["accuracy"] <= row["high"]
    assert row["accuracy"] > 0.8
    assert (row["features"], row["parameters"], row["image_size"]) == (512, 735_424, 32)


def test_held_out_images_are_not_read(hpo: Hpo, data: Path) -> None:
    for part in ("train", "test"):
        pictures(data / "parts" / part)
    for path in (data / "parts" / "test").rglob("*.png"):
        path.write_bytes(b"no image")
    words = [word.replace("flowers", "parts") for word in RANK]
    result = hpo(*words, "--models", "squeezenet")
    assert result.exit_code == 0, result.output
    assert "36 images, 5 folds" in result.output


@pytest.mark.slow
def test_a_data_set_with_a_validation_part_of_its_own_is_not_split_again(hpo: Hpo, data: Path, tmp_path: Path) -> None:
    for part, n in (("train", 12), ("val", 5), ("test", 2)):
        pictures(data / "parts" / part, n)
    words = [word.replace("flowers", "parts") for word in RANK]
    result = hpo(*words, "--models", "squeezenet", "--out", "own.yaml")
    assert result.exit_code == 0, result.output
    assert "15 images, the validation part of the data set" in result.output
    assert "validation" not in (tmp_path / "own.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "hpo: say which models to rank: --models or --size, and only one of them"),
        (("--models", "resnet18", "--size", "small"), "hpo: say which models to rank: --models or --size, and only"),
        (("--models", "resnet18,,vgg16"), "hpo: --models resnet18,,vgg16: write names of models with commas between"),
        (("--models", "resnet81"), "hpo: --models: unknown model 'resnet81'; did you mean 'resnet18'?"),
        (("--models", "resnet18"), "hpo: no model can be ranked: resnet18: `weights`: the ImageNet weights of"),
        (
            ("--models", "squeezenet", "--folds", "13"),
            "class 'daisy' has 10 images to search with; `--folds 13` needs 13 of them; take fewer folds",
        ),
        (("--models", "squeezenet", "--group", "("), "hpo: `--group` must be `folder` or a regular expression"),
        (("--models", "squeezenet", "--weights", "gone.pth"), "hpo: --weights: there is no file 'gone.pth'"),
        (("--models", "squeezenet", "--fixed", "image_size=big"), "hpo: --fixed image_size: must be a whole number"),
        (("--models", "squeezenet", "--fixed", "method=knn"), "hpo: --fixed method: says nothing about how images are"),
        (("--models", "squeezenet", "--fixed", "class_weights=balanced"), "hpo: --fixed class_weights: says nothing"),
        (("--models", "squeezenet", "--fixed", "image_sise=32"), "did you mean 'image_size'? (allowed: background, ex"),
        (
            ("--models", "squeezenet", "--top", "2"),
            "hpo: --top 2: it says how many models --out writes; add",
        ),
        (("--models", "squeezenet", "--out", "gone/a.yaml"), "hpo: --out gone/a.yaml: there is no folder gone"),
        (("--models", "squeezenet", "--out", "data"), "hpo: --out data: is a folder; a file is needed"),
        (
            ("--models", "squeezenet", "--fetch", "--weights", "data/weights/squeezenet1_0.pth"),
            "hpo: --fetch: downloads ImageNet weights only, but --weights is data/weights/squeezenet1_0.pth",
        ),
        (("--models", "squeezenet", "--option", "folder=gone"), "there is no 'gone' in"),
        (("--models", "squeezenet", "--format", "xml"), "hpo: unknown format 'xml'"),
    ],
)
def test_what_cannot_be_ranked_is_named(hpo: Hpo, data: Path, words: tuple[str, ...], message: str) -> None:
    result = hpo(*RANK, *words)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "task." not in result.output


@pytest.mark.parametrize("text", ["task: {}\n", "# My own space, not one of hpo rank\ntask: {}\n"])
def test_a_file_that_the_command_has_not_written_is_not_replaced(hpo: Hpo, data: Path, text: str) -> None:
    Path("mine.yaml").write_text(text)
    result = hpo(*RANK, "--models", "squeezenet", "--out", "mine.yaml")
    assert result.exit_code == 2
    assert "hpo: --out mine.yaml: `hpo rank` has not written this file, so it is not replaced" in result.output
    assert Path("mine.yaml").read_text() == text


def test_a_misspelt_network_is_an_error_before_any_model_is_ranked(hpo: Hpo, data: Path) -> None:
    pytest.importorskip("timm")
    result = hpo(*RANK, "--models", "squeezenet,timm:resnt50")
    assert result.exit_code == 2
    assert "hpo: --models timm:resnt50: `model`: timm has no network 'resnt50'" in result.output
    assert "squeezenet (1 of 2)" not in result.output


def test_a_data_set_that_is_no_name_and_no_mapping_is_refused(hpo: Hpo, data: Path) -> None:
    result = hpo("rank", "--dataset", "[pacs]", "--models", "squeezenet")
    assert result.exit_code == 2
    assert "hpo: --dataset [pacs]: write a name, or {name: pacs, domain: cartoon}" in result.output


@pytest.mark.slow
def test_the_models_of_each_size_are_known(hpo: Hpo) -> None:
    from hpo import plugins
    from hpo.training.ranking import SIZES

    for names in SIZES.values():
        for name in names:
            if not name.startswith("timm:") or pytest.importorskip("timm"):
                assert hasattr(plugins.load("trainables.models", name), "WEIGHTS")
