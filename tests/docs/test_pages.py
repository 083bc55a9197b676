"""The code of the README and of docs/ runs as a newcomer would run it: each block is taken from the page itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

import hpo
from docs import generate
from hpo import plugins
from hpo.cli.app import app
from hpo.loop.new_settings import CHANGEABLE
from hpo.plugins.declarations import own
from hpo.spacefile import bundled, read

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}


def block(page: str, start: str, language: str = "python") -> str:
    """The first code block of a language after a piece of text of a page."""
    text = PAGES[page]
    match = re.search(rf"```{language}\n(.*?)```", text[text.index(start) :], re.DOTALL)
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


def type_hpo(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output


def search(folder: Path, task: dict[str, Any], *words: str, **space: Any) -> pd.DataFrame:
    content = {"task": task, "space": space or {"lr": {"low": 1e-3, "high": 1e-1}}, "fidelity": {"high": 4}}
    (folder / "own.yaml").write_text(yaml.safe_dump(content))
    type_hpo("search", "--space", "own.yaml", "--trials", "4", "--runner", "inline", "--study", "own", *words)
    return pd.read_csv(folder / "studies" / "own" / "trials.csv")


def test_the_space_explained_is_the_bundled_one(tmp_path: Path) -> None:
    shown = tmp_path / "digits_cnn.yaml"
    shown.write_text(block("docs/search.md", "## The space", "yaml"))
    assert read(shown) == read(bundled()["digits_cnn"])


def test_a_users_own_regime_is_searched_and_learns(folder: Path) -> None:
    (folder / "my_package").mkdir()
    (folder / "my_package" / "my_regime.py").write_text(block("docs/own_training_code.md", "A module, named"))
    (folder / "my_space.yaml").write_text(block("docs/own_training_code.md", "my_package/my_regime.py", "yaml"))
    words = ["--space", "my_space.yaml", "--backend", "bohb", "--trials", "40", "--runner", "inline", "--study", "own"]
    type_hpo("search", *words)
    assert pd.read_csv(folder / "studies" / "own" / "best.csv")["loss"][0] < 0.2


def test_an_objective_of_ones_own_is_minimised_as_printed(folder: Path) -> None:
    (folder / "costs.py").write_text(block("docs/search.md", "### Your own objective"))
    task = {"regime": "from_scratch", "model": "softmax_regression", "dataset": "digits"}
    space = {"task": task, "space": {"lr": {"low": 0.05, "high": 0.1}}, "fidelity": {"high": 2}}
    study = hpo.search({**space, "objective": "costs:missed_cost"}, backend="random", trials=1, quiet=True)
    best = study.best
    assert best.loss == best.metrics["val_missed_cost"] >= 1 - best.metrics["val_accuracy"] - 1e-6


def test_a_regime_of_ones_own_reports_an_objective_of_ones_own_as_printed(folder: Path) -> None:
    (folder / "costs.py").write_text(block("docs/search.md", "### Your own objective"))
    (folder / "my_package").mkdir()
    (folder / "my_package" / "my_softmax.py").write_text(block("docs/own_training_code.md", "With an [objective of"))
    task = {"regime": "my_package.my_softmax", "dataset": "digits"}
    space = {"task": task, "space": {"lr": {"low": 0.5, "high": 1.0}}, "fidelity": {"high": 3}}
    study = hpo.search({**space, "objective": "costs:missed_cost"}, backend="random", trials=2, quiet=True)
    assert study.best.loss == study.best.metrics["val_missed_cost"] < 0.5
    assert list(study.path.glob("**/predictions*"))


def test_the_simulated_searches_run_as_printed(folder: Path) -> None:
    table = re.search(r"```text\n(optimizer,.*?)```", PAGES["docs/simulation.md"], re.DOTALL)
    assert table is not None
    (folder / "table.csv").write_text(table[1])
    (folder / "curves.py").write_text(block("docs/simulation.md", "## Curves from a function"))
    momentum = {"low": 0.5, "high": 0.99, "when": {"optimizer": ["sgd"]}}
    domains = {"optimizer": {"choices": ["sgd", "adam"]}, "lr": {"low": 1e-3, "high": 3.0}, "momentum": momentum}
    space = {"space": domains, "fidelity": {"high": 3}}
    losses = {0.52, 0.49, 9.31}
    assert set(hpo.search(space, curves="table.csv", backend="random", trials=20).table()["loss"]) <= losses
    study = hpo.search(space, curves="curves:curve", backend="bohb", time=7200, slots=4, study="function")
    assert study.table()["seconds"].sum() == 60 * study.table()["epochs"].sum() > 4 * 7000


def run(code: str) -> dict[str, Any]:
    """Run a block as a script; its names afterwards."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "a page of docs", "exec"), scope)
    return scope


def test_the_class_form_runs_as_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = run(block("docs/own_training_code.md", "**A class.**"))["study"].table()
    assert table["epochs"].sum() == 200
    assert abs(table["x"][0] - 0.3) < 0.2
    assert "complete" in capsys.readouterr().out


def test_the_generator_form_runs_as_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = run(block("docs/own_training_code.md", "**A generator function.**"))["study"]
    assert len(study.table()) == 20
    assert study.best.loss < 0.1
    assert "BestTrial(" in capsys.readouterr().out


def test_the_python_of_the_readme_runs_as_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(block("README.md", "The same from Python"))["study"].best.loss < 0.1
    assert "BestTrial(" in capsys.readouterr().out


@pytest.mark.slow
def test_the_python_api_runs_as_printed(folder: Path) -> None:
    study = run(block("docs/python_api.md", "# The Python API"))["study"]
    assert len(study.table()) == 12
    assert study.table()["test_accuracy"].notna().sum() == 1
    searched = run(block("docs/python_api.md", "## Search"))["study"]
    assert searched.best.metrics["val_accuracy"] > 0.7


def test_every_name_of_the_python_api_is_on_its_page() -> None:
    page = PAGES["docs/python_api.md"]
    shown = set(re.findall(r"hpo\.(\w+)", page))
    assert {name for name in hpo.__all__ if name not in ("BestTrial", "Study")} <= shown
    assert shown <= set(hpo.__all__)


NEW_SETTINGS = {
    "hpo.search": (hpo.search.__doc__, "takes new values of"),
    "Study.resume": (hpo.Study.resume.__doc__, "are new values of"),
    "python_api.md": (PAGES["docs/python_api.md"], "unless the call gives another"),
    "search.md": (PAGES["docs/search.md"], "`hpo resume NAME` takes a new"),
}
"""The texts that list the settings that may change when a study goes on, and the words before the list."""


@pytest.mark.parametrize("name", NEW_SETTINGS)
def test_each_list_of_the_settings_that_may_change_is_complete(name: str) -> None:
    text, words = NEW_SETTINGS[name]
    assert text is not None
    listed = re.split(r"[.;]|, and ", text.partition(words)[2])[0]
    found = {
        re.sub("runner_option$", "runner_options", each.replace("-", "_"))
        for each in re.findall(r"[a-z][-_a-z]*", listed)
    }
    assert found - {"and", "or"} == set(CHANGEABLE)


@pytest.mark.parametrize("page", ["README.md", "docs/transfer_learning.md"])
def test_the_space_of_a_transfer_search_is_sound(page: str, tmp_path: Path) -> None:
    (tmp_path / "my_flowers.yaml").write_text(
        block(page, "# Transfer" if "transfer" in page else "## One search", "yaml")
    )
    assert read(tmp_path / "my_flowers.yaml").domains.keys() == {"regime", "lr", "augmentation"}


def test_the_model_of_the_recipe_trains(folder: Path) -> None:
    (folder / "readme_package" / "two_layers.py").write_text(block("docs/extending.md", "## A model"))
    task = {"regime": "from_scratch", "model": "readme_package.two_layers", "dataset": "digits"}
    table = search(folder, task, "--backend", "random", hidden={"choices": [32, 64]})
    assert table["val_accuracy"].max() > 0.5


def test_a_key_that_the_models_recipe_does_not_read_is_named(folder: Path) -> None:
    (folder / "readme_package" / "two_layers.py").write_text(block("docs/extending.md", "## A model"))
    task = {"regime": "from_scratch", "model": "readme_package.two_layers", "dataset": "digits"}
    content = {"task": task, "space": {"hiden": {"choices": [32, 64]}}, "fidelity": {"high": 4}}
    (folder / "own.yaml").write_text(yaml.safe_dump(content))
    result = CliRunner().invoke(app, ["search", "--space", "own.yaml"])
    assert result.exit_code == 2
    assert "did you mean 'hidden'" in result.output


def test_the_data_set_of_the_recipe_is_learned_and_tested(folder: Path) -> None:
    (folder / "stripes.py").write_text(block("docs/own_data.md", "## A data set in code"))
    task = {"regime": "from_scratch", "model": "small_cnn", "dataset": "stripes"}
    search(folder, task, "--backend", "random")
    output = type_hpo("test", "own")
    match = re.search(r"test accuracy (\d\.\d+)", output)
    assert match is not None
    assert float(match[1]) > 0.9


def test_the_confusion_matrix_is_made_as_printed(folder: Path) -> None:
    task = {"regime": "from_scratch", "model": "softmax_regression", "dataset": "digits"}
    (folder / "digits.yaml").write_text(
        yaml.safe_dump({"task": task, "space": {"lr": {"low": 1e-3, "high": 1e-1}}, "fidelity": {"high": 4}})
    )
    type_hpo("search", "--space", "digits.yaml", "--trials", "1", "--runner", "inline", "--study", "digits")
    assert "lowest recall: " in type_hpo("test", "digits")
    matrix = run(block("docs/search.md", "**Results per class.**"))["matrix"]
    assert matrix.shape == (10, 10)
    assert matrix.to_numpy().sum() == 360


def test_the_recipe_for_image_files_keeps_groups_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sorted_by_name.py").write_text(block("docs/own_data.md", "For image files"))
    (folder / "plants").mkdir()
    monkeypatch.setenv("HPO_DATA", str(folder))
    for i in range(20):
        name = f"{('daisy', 'rose')[i % 2]}_{i // 4}_{i}.png"
        Image.new("RGB", (8, 8), (10 * i, 0, 0)).save(folder / "plants" / name)
    output = type_hpo("data", "sorted_by_name", "--option", "folder=plants", "--option", "held_out=0.4")
    assert re.search(r"2 classes: 12 .*8 held out", output)


def test_the_regime_of_the_recipe_trains(folder: Path) -> None:
    (folder / "readme_package" / "last_stage.py").write_text(block("docs/extending.md", "## A regime"))
    task = {"regime": "readme_package.last_stage", "model": "small_cnn", "dataset": "digits"}
    table = search(folder, task, "--backend", "asha", lr={"low": 1e-2, "high": 1e-1})
    assert table["val_accuracy"].max() > 0.3


def test_the_backend_of_the_recipe_decides_and_resumes(folder: Path) -> None:
    (folder / "readme_package" / "halves.py").write_text(block("docs/extending.md", "## A backend"))
    task = {"regime": "from_scratch", "model": "softmax_regression", "dataset": "digits"}
    table = search(folder, task, "--backend", "readme_package.halves")
    assert set(table["state"]) == {"complete", "stopped"}
    assert "the budget of 6 trials is spent" in type_hpo("resume", "own", "--trials", "6")


def test_the_model_of_a_study_is_written_loaded_and_used(folder: Path) -> None:
    page = "docs/using_the_model.md"
    assert run(block(page, "writes the best configuration"))["model"].classes == tuple("0123456789")
    for name in ("one.png", "two.png"):
        Image.new("L", (20, 20)).save(name)
    table = run(block(page, "## Classify images"))["table"]
    assert list(table["path"]) == ["one.png", "two.png"]
    assert table["class_3"].notna().all()


def test_every_verb_is_shown_and_exists() -> None:
    verbs = {verb for text in PAGES.values() for verb in re.findall(r"^\$ hpo (\w+)", text, re.MULTILINE)}
    assert verbs <= set(app.commands)
    assert set(app.commands) - verbs <= {"spaces"}


def test_every_option_that_is_shown_exists() -> None:
    known = {option for verb in app.commands.values() for param in verb.params for option in param.opts} | {"--help"}
    for page, text in PAGES.items():
        for line in re.findall(r"^\$ hpo .*$", text, re.MULTILINE):
            assert set(re.findall(r"(?<!\S)--[a-z][a-z-]*", line.partition(" #")[0])) <= known, (page, line)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_that_is_there(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGES[page]):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    for name in re.findall(r"`((?:hpo|trainables|tests)/[\w/]+(?:\.py)?)`", PAGES[page]):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert PAGES[f"docs/{name}"] == generate.PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_a_placeholder(page: str) -> None:
    words = r"\b(?:TODO|FIXME|XXX|TBD|[A-Z_]+_(?:OUTPUT|HERE|PLACEHOLDER))\b"
    line_of_its_own = r"^[ \t]*[A-Z]+(?:_[A-Z]+)+[ \t]*$"
    assert re.findall(f"{words}|{line_of_its_own}", PAGES[page], re.MULTILINE) == []


def test_every_declared_hyperparameter_is_on_the_page() -> None:
    covered = {module for modules in generate.SHARED.values() for module in modules}
    covered |= {module for package in generate.KINDS.values() for module in plugins.names(package).values()}
    declaring = set()
    for path in sorted((ROOT / "trainables").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if own(module, plugins.find):
            declaring.add(module)
    assert "trainables.training.losses" in declaring
    assert declaring - covered == set(), "add them to SHARED in docs/generate.py"


def test_the_readme_fits_on_two_screens() -> None:
    assert len(PAGES["README.md"].splitlines()) < 150
