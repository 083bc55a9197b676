from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hpo.cli.app import app

Hpo = Callable[..., Result]
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is an extra")


@pytest.fixture
def hpo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hpo:
    """Types a command in a folder of its own, whose data sets lie in `data`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A folder of two classes of ten pictures each."""
    rng = np.random.default_rng(0)
    for name in ("rose", "tulip"):
        folder = tmp_path / "data" / "flowers" / name
        folder.mkdir(parents=True)
        for i in range(10):
            Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "data" / "flowers"


def test_a_data_set_is_looked_over(hpo: Hpo, flowers: Path) -> None:
    result = hpo("data", "image_folder", "--option", "folder=flowers")
    assert result.exit_code == 0, result.output
    assert "rose" in result.output
    assert "tulip" in result.output
    assert "16" in result.output


def test_what_is_broken_in_a_data_set_is_named(hpo: Hpo, flowers: Path) -> None:
    (flowers / "rose" / "torn.png").write_bytes((flowers / "rose" / "1.png").read_bytes()[:60])
    result = hpo("data", "image_folder", "--option", "folder=flowers")
    assert result.exit_code == 0, result.output
    assert "torn.png" in result.output


def test_what_is_left_out_of_a_data_set_is_named_and_counted(hpo: Hpo, flowers: Path) -> None:
    (flowers / "rose" / "gone.jpg").symlink_to("nowhere.jpg")
    (flowers / "tulip" / "a.jxl").write_bytes(b"no picture")
    result = hpo("data", "image_folder", "--option", "folder=flowers")
    assert result.exit_code == 0, result.output
    assert f"Left out, broken links: 1\n  {flowers / 'rose' / 'gone.jpg'}\n" in result.output
    assert f"Left out, of no known image format: 1\n  {flowers / 'tulip' / 'a.jxl'}\n" in result.output
    assert "All can be read" not in result.output
    assert "All others can be read" in result.output


def test_names_that_are_not_utf8_are_printed_with_escapes(hpo: Hpo, flowers: Path) -> None:
    (flowers / "rose").rename(flowers / os.fsdecode(b"ros\xe9"))
    other = flowers.rename(flowers.with_name(os.fsdecode(b"caf\xe9")))
    (other / "tulip" / os.fsdecode(b"leer\xff.png")).write_bytes(b"")
    for folder in (str(other), other.name):
        result = hpo("data", "image_folder", "--option", f"folder={folder}")
        assert result.exit_code == 0, result.output
        assert r"ros\xe9 " in result.output
        assert r"caf\xe9/tulip/leer\xff.png: it is no image" in result.output


def test_a_terminal_without_the_letters_of_a_class_shows_escapes(hpo: Hpo, flowers: Path) -> None:
    (flowers / "rose").rename(flowers / "\u6728")
    result = CliRunner(charset="latin-1").invoke(app, ["data", "image_folder", "--option", "folder=flowers"])
    assert result.exit_code == 0, result.output
    assert r"\u6728 " in result.output


def test_how_files_are_read_can_be_said_when_a_data_set_is_looked_over(hpo: Hpo, flowers: Path) -> None:
    words = ("data", "image_folder", "--option", "folder=flowers", "--fixed")
    assert "`max_pixels` allows 191" in hpo(*words, "max_pixels=191").output
    assert "All can be read" in hpo(*words, "max_pixels=192").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("data", "digits", "--fixed", "backgroud=white"), "'backgroud'; did you mean 'background'? (allowed: back"),
        (("data", "digits", "--fixed", "background=red"), "--fixed: `background` must be one of white, black"),
        (("data", "digits", "--fixed", "background"), "--fixed background: write it as name=value"),
        (("data", "flowers"), "unknown dataset 'flowers'"),
        (("data", "pacs", "--option", "domian=cartoon"), "no such option; did you mean 'domain'?"),
        (("data", "pacs", "--option", "domain=cartoons"), "did you mean 'cartoon'?"),
        (("data", "pacs", "--option", "domain"), "write it as name=value"),
        (("data", "pacs"), "but is None; here by --option domain=..."),
        (("data", "caltech101"), "hpo fetch --dataset caltech101"),
        (("data", "image_folder", "--option", "folder=weeds"), "weeds"),
        (("fetch",), "say what to download"),
        (("fetch", "--model", "resnet18", "--option", "a=b"), "--option a=b: is for a data set; name it by --dataset"),
        (("fetch", "--dataset", "huggingface"), "`dataset.path` is missing: give a folder that `save_to_disk` wrote"),
        (("fetch", "--dataset", "huggingface", "--option", "hub=a b"), "`dataset.hub` must be a name on the hub"),
        (
            ("fetch", "--dataset", "huggingface", "--option", "hub=a/b", "--option", "held_out=2"),
            "must be a number above 0",
        ),
        (
            ("fetch", "--dataset", "huggingface", "--option", "config=small"),
            "`dataset.config` must not be given without",
        ),
        (("fetch", "--dataset", "huggingface", "--option", "hub=a/b", "--option", "image=3"), "the name of a column"),
        (("fetch", "--dataset", "pacs", "--option", "domain=photo", "--option", "variant=no"), "'no' is unknown"),
        (("fetch", "--model", "small_cnn"), "there are no ImageNet weights of this model"),
        (("fetch", "--model", "resnet81"), "did you mean 'resnet18'?"),
        (("fetch", "--dataset", "cifar"), "did you mean 'cifar10'?"),
        (("fetch", "--model", "small_cnn:wide"), "has no function `variant`"),
        (("fetch", "--model", "timm"), "name a variant, as timm:NAME"),
        pytest.param(
            ("fetch", "--model", "timm:resnet10x"),
            "timm has no network 'resnet10x' (nearest: resnet10t",
            marks=needs_timm,
        ),
        pytest.param(
            ("fetch", "--model", "timm:resnet200"), "there are no ImageNet weights of this model", marks=needs_timm
        ),
    ],
)
def test_a_mistake_is_told_in_plain_words_and_leaves_nothing(
    hpo: Hpo, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    result = hpo(*words)
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


SPACE = """
task:
  regime: linear_probe
  model: resnet18
  weights: imagenet
  dataset: {name: image_folder, folder: flowers}
space: {lr: {low: 1e-3, high: 1e-1, log: true}}
fixed: {image_size: 32}
fidelity: {high: 3}
"""


def test_a_search_whose_weights_are_missing_says_so_and_leaves_no_study(
    hpo: Hpo, flowers: Path, tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    result = hpo("search", "--space", "space.yaml", "--backend", "random", "--runner", "inline", "--study", "s", "-q")
    assert result.exit_code == 2
    assert "hpo fetch --model resnet18" in result.output
    assert not (tmp_path / "studies").exists()


def test_a_search_whose_data_are_missing_says_so_and_leaves_no_study(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    result = hpo("search", "--space", "space.yaml", "--backend", "random", "--study", "s", "-q", "--slots", "1")
    assert result.exit_code == 2
    assert "flowers" in result.output
    result = hpo("search", "--space", "space.yaml", "--backend", "bohb", "--trials", 1, "--set", "fidelity.high=9")
    assert result.exit_code == 2
    assert "compares trials" not in result.output, "errors come before notes about the budget"
    assert not (tmp_path / "studies").exists()


def test_an_image_that_cannot_be_read_is_named_and_skipped_only_if_asked(
    hpo: Hpo, flowers: Path, tmp_path: Path
) -> None:
    for path in (flowers / "rose").iterdir():
        if path.name != "9.png":
            path.write_bytes(path.read_bytes()[:70])
    (tmp_path / "space.yaml").write_text(SPACE.replace("weights: imagenet", "weights: none"))
    words = ("search", "--space", "space.yaml", "--backend", "random", "--runner", "inline", "--trials", "1", "-q")
    result = hpo(*words, "--study", "s")
    assert result.exit_code == 2
    assert "rose" in result.output
    assert "skip_unreadable" in result.output


def test_a_search_begins_with_a_line_about_what_is_left_out(hpo: Hpo, flowers: Path, tmp_path: Path) -> None:
    space = SPACE.replace("linear_probe", "from_scratch").replace("resnet18", "small_cnn")
    (tmp_path / "space.yaml").write_text(space.replace("weights: imagenet", "weights: none").replace("32", "8"))
    words = ("search", "--space", "space.yaml", "--backend", "random", "--runner", "inline", "--trials", "1")
    assert "not used" not in hpo(*words, "--study", "whole").stderr
    (flowers / "rose" / "gone.jpg").symlink_to("nowhere.jpg")
    (flowers / "rose" / "notes.txt").write_text("")
    result = hpo(*words, "--study", "s")
    assert result.exit_code == 0, result.output
    first = "hpo: images: 12 train, 4 validation, 4 held out (from flowers); "
    assert first + "not used: 1 file (broken links: 1), such as rose/gone.jpg\n" in result.stderr
    shown = hpo("data", "image_folder", "--option", "folder=flowers").stdout.splitlines()
    assert shown[0].endswith("4 held out (from flowers); not used: 1 file (broken links: 1), such as rose/gone.jpg")
    assert hpo(*words, "--study", "quiet", "-q").stderr == ""


def test_a_folder_of_one_class_is_refused(hpo: Hpo, flowers: Path) -> None:
    shutil.rmtree(flowers / "tulip")
    result = hpo("data", "image_folder", "--option", "folder=flowers")
    assert result.exit_code == 2
    assert "holds one folder, rose" in result.output


@pytest.mark.parametrize("regime", ["linear_probe", "fine_tune", "[from_scratch, probe_then_fine_tune]"])
def test_a_space_whose_regime_begins_with_pretrained_weights_must_say_which(
    hpo: Hpo, tmp_path: Path, regime: str
) -> None:
    text = SPACE.replace("regime: linear_probe", f"regime: {regime}").replace("  weights: imagenet\n", "")
    (tmp_path / "space.yaml").write_text(text)
    result = hpo("search", "--space", "space.yaml", "--study", "s", "-q")
    assert result.exit_code == 2
    assert "space.yaml:2: task.weights: is missing" in result.output


def test_near_copies_and_shares_of_classes_are_shown_and_written_if_asked_for(
    hpo: Hpo, flowers: Path, tmp_path: Path
) -> None:
    for i in range(10):  # each picture has a copy of another size, and most copies fall into another part
        with Image.open(flowers / "rose" / f"{i}.png") as image:
            image.resize((64, 48)).save(flowers / "rose" / f"copy{i}.png")
    words = ("data", "image_folder", "--option", "folder=flowers")
    result = hpo(*words)
    assert result.exit_code == 0, result.output
    assert "Share of each class in each part, in percent:" in result.output
    assert "Exact and near copies in different parts (at most 4 of 64 hash bits differ): " in result.output
    assert list(tmp_path.glob("**/*.csv")) == []
    assert hpo(*words, "--out", "found", "--near-copies", 6).exit_code == 0
    rows = (tmp_path / "found" / "near_copies.csv").read_text().splitlines()
    assert rows[0] == "distance,first,first_part,first_class,second,second_part,second_class"
    assert any("copy" in row for row in rows[1:])
    assert (tmp_path / "found" / "classes.csv").read_text().startswith("class,training_images,training_share,valid")
    assert "near copies" not in hpo(*words, "--near-copies", -1, "--out", "found").output
    assert [path.name for path in (tmp_path / "found").iterdir()] == ["classes.csv"]  # no table of the last time


def test_a_file_is_no_folder_to_write_into(hpo: Hpo, flowers: Path, tmp_path: Path) -> None:
    (tmp_path / "found").touch()
    result = hpo("data", "image_folder", "--option", "folder=flowers", "--out", "found")
    assert result.exit_code == 2
    assert "'found' is a file" in result.output
