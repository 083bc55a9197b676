"""The README's code is run as a newcomer would: each block is taken from the README itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from hpo.cli.app import app
from hpo.spacefile import bundled, read

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(start: str, language: str = "python") -> str:
    """The first code block of a language after a piece of text."""
    match = re.search(rf"```{language}\n(.*?)```", README[README.index(start) :], re.DOTALL)
    assert match is not None
    return match[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty package, as the current one."""
    (tmp_path / "readme_package").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.startswith(("my_package", "readme_package"))]:
        del sys.modules[name]
    return tmp_path


def hpo(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output


def search(folder: Path, task: dict[str, Any], *words: str, **space: Any) -> pd.DataFrame:
    content = {"task": task, "space": space or {"lr": {"low": 1e-3, "high": 1e-1}}, "fidelity": {"high": 4}}
    (folder / "own.yaml").write_text(yaml.safe_dump(content))
    hpo("search", "--space", "own.yaml", "--trials", "4", "--runner", "inline", "--study", "own", *words)
    return pd.read_csv(folder / "studies" / "own" / "trials.csv")


def test_the_space_explained_is_the_bundled_one(tmp_path: Path) -> None:
    shown = tmp_path / "digits_cnn.yaml"
    shown.write_text(block("One search, explained", "yaml"))
    assert read(shown) == read(bundled()["digits_cnn"])


def test_a_users_own_regime_is_searched_and_learns(folder: Path) -> None:
    (folder / "my_package").mkdir()
    (folder / "my_package" / "my_regime.py").write_text(block("Your own training code"))
    (folder / "my_space.yaml").write_text(block("my_package/my_regime.py", "yaml"))
    words = ["--space", "my_space.yaml", "--backend", "bohb", "--trials", "40", "--runner", "inline", "--study", "own"]
    hpo("search", *words)
    assert pd.read_csv(folder / "studies" / "own" / "best.csv")["loss"][0] < 0.2


def test_the_search_from_python_runs_as_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    exec(compile(block("Or search from Python"), "README.md", "exec"), scope)
    table = scope["table"]
    assert table["epochs"].sum() == 200
    assert abs(table["x"][0] - 0.3) < 0.2
    assert "complete" in capsys.readouterr().out


def test_the_model_of_the_recipe_trains(folder: Path) -> None:
    (folder / "readme_package" / "two_layers.py").write_text(block("**A model**"))
    task = {"regime": "from_scratch", "model": "readme_package.two_layers", "dataset": "digits"}
    table = search(folder, task, "--backend", "random", hidden={"choices": [32, 64]})
    assert table["val_accuracy"].max() > 0.5


def test_a_key_that_the_models_recipe_does_not_read_is_named(folder: Path) -> None:
    (folder / "readme_package" / "two_layers.py").write_text(block("**A model**"))
    task = {"regime": "from_scratch", "model": "readme_package.two_layers", "dataset": "digits"}
    content = {"task": task, "space": {"hiden": {"choices": [32, 64]}}, "fidelity": {"high": 4}}
    (folder / "own.yaml").write_text(yaml.safe_dump(content))
    result = CliRunner().invoke(app, ["search", "--space", "own.yaml"])
    assert result.exit_code == 2
    assert "did you mean 'hidden'" in result.output


def test_the_data_set_of_the_recipe_is_learned_and_tested(folder: Path) -> None:
    (folder / "readme_package" / "stripes.py").write_text(block("**A data set**"))
    task = {"regime": "from_scratch", "model": "small_cnn", "dataset": "readme_package.stripes"}
    search(folder, task, "--backend", "random")
    output = hpo("test", "own")
    match = re.search(r"test accuracy (\d\.\d+)", output)
    assert match is not None
    assert float(match[1]) > 0.9


def test_the_regime_of_the_recipe_trains(folder: Path) -> None:
    (folder / "readme_package" / "last_stage.py").write_text(block("**A regime**"))
    task = {"regime": "readme_package.last_stage", "model": "small_cnn", "dataset": "digits"}
    table = search(folder, task, "--backend", "asha", lr={"low": 1e-2, "high": 1e-1})
    assert table["val_accuracy"].max() > 0.3


def test_the_backend_of_the_recipe_decides_and_resumes(folder: Path) -> None:
    (folder / "readme_package" / "halves.py").write_text(block("**A backend**"))
    task = {"regime": "from_scratch", "model": "softmax_regression", "dataset": "digits"}
    table = search(folder, task, "--backend", "readme_package.halves")
    assert set(table["state"]) == {"complete", "stopped"}
    assert "the budget of 6 trials is spent" in hpo("resume", "own", "--trials", "6")


def test_every_verb_of_the_readme_exists() -> None:
    verbs = set(re.findall(r"^\$ hpo (\w+)", README, re.MULTILINE))
    assert verbs == set(app.commands)
