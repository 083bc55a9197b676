"""`hpo describe`: what can be set, in a terminal of 80 columns and as JSON."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import ROOT, Hpo

PAGES = [
    (),
    *[(kind,) for kind in ("backend", "runner", "tracker", "regime", "model", "dataset", "augmentation")],
    ("regime", "probe_then_fine_tune"),
    ("model", "small_cnn"),
    ("dataset", "pacs"),
    ("backend", "optuna"),
    ("runner", "ray"),
    ("tracker", "tensorboard"),
    ("tracker", "mlflow"),
    ("augmentation", "few_shot"),
    ("lora",),
    ("lr",),
    ("folder",),
    ("timm",),
    ("--space", "digits_cnn"),
]


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_page_fits_80_columns(hpo: Hpo, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = hpo("describe", *words)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    rows = json.loads(hpo("describe", *words, "--format", "json").stdout)
    assert rows
    first = str(next(iter(rows[0].values())))
    assert first in result.output


def test_a_regime_is_described_with_all_that_it_reads(hpo: Hpo) -> None:
    rows = json.loads(hpo("describe", "regime", "linear_probe", "--format", "json").output)
    found = {row["hyperparameter"]: row for row in rows}
    assert found["optimizer"]["default"] == "adamw"
    assert found["optimizer"]["meaning and values"].endswith(": adamw, adam, sgd, nag, timm:NAME")
    assert found["lr"] == {
        "hyperparameter": "lr",
        "meaning and values": "learning rate, above 0",
        "default": "1e-3",
    }
    assert {"patience", "oom", "image_size", "augmentation"} <= set(found)


def test_the_options_of_a_runner_are_those_that_a_search_takes_and_defaults_are_as_in_a_space(hpo: Hpo) -> None:
    rows = json.loads(hpo("describe", "runner", "ray", "--format", "json").output)
    assert {row["option"]: row["default"] for row in rows} == dict.fromkeys(
        ("address", "resources", "checkpoint_url", "sync"), "null"
    )
    rows = json.loads(hpo("describe", "backend", "bohb", "--format", "json").output)
    found = {row["option"]: row["default"] for row in rows}
    assert (found["random_fraction"], found["min_points_in_model"]) == ("0.333", "null")


def test_a_tracker_says_what_may_be_written_after_its_name(hpo: Hpo) -> None:
    rows = json.loads(hpo("describe", "tracker", "tensorboard", "--format", "json").output)
    assert [(row["where"], row["default"]) for row in rows] == [("=FOLDER", "`tensorboard` in the folder of the study")]


def test_a_space_says_what_is_searched_fixed_and_left_at_its_default(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "task: {regime: from_scratch, model: small_cnn, dataset: digits}\n"
        "space: {lr: {low: 1e-4, high: 0.1, log: true}}\nfixed: {batch_size: 32}\nfidelity: {high: 4}\n"
    )
    rows = json.loads(hpo("describe", "--space", "own.yaml", "--format", "json").output)
    found = {row["hyperparameter"]: (row["how"], row["value"]) for row in rows}
    assert found["lr"] == ("searched", "0.0001 to 0.1, log")
    assert found["batch_size"] == ("fixed", "32")
    assert found["width"] == ("default", "16")
    assert found["optimizer"] == ("default", "adamw")
    table, _, below = hpo("describe", "--space", "own.yaml").output.partition("At their defaults: ")
    assert [line.split()[:2] for line in table.splitlines()[2:4]] == [["lr", "searched"], ["batch_size", "fixed"]]
    assert " width (16)," in " ".join(below.split())
    assert "optimizer (adamw)," in below


def test_a_space_that_can_be_searched_says_so_after_what_has_no_effect(hpo: Hpo, tmp_path: Path) -> None:
    text = (
        "task: {regime: linear_probe, model: conv4, weights: none, dataset: digits}\n"
        "space: {lr: {low: 1e-4, high: 0.1, log: true}}\nfidelity: {high: 4}\nfixed: {schedule: constant%s}\n"
    )
    path = tmp_path / "own.yaml"
    path.write_text(text % "")
    assert hpo("describe", "--space", str(path)).output.splitlines()[-1] == "The space can be searched."
    path.write_text(text % ", period: 3")
    *_, notice, verdict = hpo("describe", "--space", str(path)).output.splitlines()
    assert notice.endswith("`schedule` is constant")
    assert verdict.startswith("The space can be searched; the lines above")


def test_a_plug_in_of_ones_own_is_described(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "net.py").write_text(
        '"""A net."""\nHYPERPARAMETERS = {"depth": "layers; default 3", "kind": ["a", "b"]}\n'
        'MEANINGS = {"kind": "which"}\nraise ValueError("is not imported")\n'
    )
    rows = json.loads(hpo("describe", "model", "own_package.net", "--format", "json").output)
    assert [tuple(row.values()) for row in rows] == [("depth", "layers", "3"), ("kind", "which: a, b", "a")]


WRONG = {
    ("regime", "linear_prob"): "unknown regime 'linear_prob'; did you mean 'linear_probe'?",
    ("regimes",): "unknown kind or name 'regimes'; did you mean 'regime'?",
    ("lroa",): "unknown kind or name 'lroa'; did you mean 'lora'?",
    ("regimes", "lora"): "unknown kind 'regimes'; did you mean 'regime'?",
    ("lora", "regime"): "the kind comes first: `hpo describe regime lora`",
    ("model", "lora"): "; lora is a regime: `hpo describe regime lora`",
    ("augmentation", "pacs"): "; pacs is a dataset: `hpo describe dataset pacs`",
    ("digits_cnn",): "it is a bundled space: `hpo describe --space digits_cnn`",
    ("augmentation", "few"): "unknown augmentation 'few'",
    ("backend", "random:x"): "has no function `variant`; name it random",
    ("--space", "digits_cn"): "digits_cnn",
    ("--format", "yaml"): "unknown format 'yaml'",
    ("regime", "--space", "digits_cnn"): "--space describes a space: leave the kind out",
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_what_does_not_exist_is_told_the_nearest(hpo: Hpo, words: tuple[str, ...]) -> None:
    result = hpo("describe", *words)
    assert result.exit_code == 2
    assert WRONG[words] in result.output


def test_a_bare_name_is_described_as_what_it_is(hpo: Hpo) -> None:
    result = hpo("describe", "lora", "--format", "json")
    assert result.stderr == "lora is a regime: hpo describe regime lora\n"
    assert result.stdout == hpo("describe", "regime", "lora", "--format", "json").output
    assert hpo("describe", "few_shot").stderr == "few_shot is an augmentation: hpo describe augmentation few_shot\n"


def test_a_hyperparameter_is_described_with_all_that_read_it(hpo: Hpo) -> None:
    (row,) = json.loads(hpo("describe", "probe_epochs", "--format", "json").stdout)
    assert row["default"] == "10"
    assert row["read by"] == "regime probe_then_fine_tune"
    assert json.loads(hpo("describe", "patience", "--format", "json").stdout)[0]["read by"] == "every regime"
    foreign = hpo("describe", "learning_rate", "--format", "json")
    assert foreign.stderr == "learning_rate is called lr here\n"
    assert foreign.stdout == hpo("describe", "lr", "--format", "json").stdout
    assert "did you mean 'lr'?" in hpo("describe", "lrr").output


def test_a_name_of_several_kinds_is_an_error_that_names_them(hpo: Hpo, tmp_path: Path) -> None:
    info = tmp_path / "twofold-1.0.dist-info"  # a distribution with two plug-ins of one name, as pip leaves it
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: twofold\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hpo.backends]\ntwofold = b\n[trainables.models]\ntwofold = m\n")
    result = hpo("describe", "twofold")
    assert result.exit_code == 2
    assert result.output == (
        "hpo: twofold is a backend and a model: type `hpo describe backend twofold` or `hpo describe model twofold`\n"
    )


def test_a_recipe_is_described_with_its_own_hyperparameters_and_defaults(hpo: Hpo) -> None:
    rows = json.loads(hpo("describe", "augmentation", "few_shot", "--format", "json").output)
    assert {row["hyperparameter"]: row["default"] for row in rows} == {
        "flip_probability": "0.1",
        "degrees": "10",
        "crop_share": "200/227",
        "sharpness": "2",
        "sharpness_probability": "0.1",
        "greyscale_probability": "0.1",
    }
    assert hpo("describe", "augmentation", "none").output == "It has nothing that can be set.\n"


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is an extra")
@pytest.mark.parametrize("words", [("model", "timm:resnt18"), ("timm:resnt18",)], ids=" ".join)
def test_a_network_that_does_not_exist_is_told_the_nearest(hpo: Hpo, words: tuple[str, ...]) -> None:
    result = hpo("describe", *words)
    assert result.exit_code == 2
    assert "timm has no network 'resnt18'" in result.output
    assert "resnet18" in result.output


def test_describing_imports_no_torch_and_no_optuna() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom hpo.cli.app import app\n"
        "assert CliRunner().invoke(app, ['describe', 'regime', 'linear_probe']).exit_code == 0\n"
        "print([name for name in ('torch', 'optuna', 'ray', 'pandas') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
