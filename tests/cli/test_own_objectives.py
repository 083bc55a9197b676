"""An objective in a Python file beside the space: searched, resumed, tested, and refused when its code changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.cli.commands import Hpo

SOURCE = """
def cost(logits, labels):
    return 2.0 * (logits.argmax(1) != labels).double().mean()
"""
SPACE = {
    "task": {"regime": "from_scratch", "model": "softmax_regression", "dataset": "digits"},
    "space": {"lr": {"low": 0.01, "high": 0.1}},
    "fidelity": {"high": 1},
    "objective": "my_costs:cost",
}
WORDS = ("--backend", "random", "--study", "s", "-q")


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "mine" / "own.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(SPACE))
    (path.parent / "my_costs.py").write_text(SOURCE)
    return path


def test_a_function_beside_the_space_is_minimised_tested_and_a_column_of_every_table(
    hpo: Hpo, space: Path, tmp_path: Path
) -> None:
    result = hpo("search", "--space", space, "--trials", 2, "--runner", "inline", *WORDS)
    assert result.exit_code == 0, result.output
    study = tmp_path / "studies" / "s"
    written = yaml.safe_load((study / "study.yaml").read_text())
    assert (written["space"]["objective"], written["objective_file"]) == (
        *("my_costs:cost", str(space.parent / "my_costs.py")),
    )
    result = hpo("test", "s")
    assert result.exit_code == 0
    tested = json.loads((study / "test.json").read_text())["results"][0]
    assert tested["test_cost"]["mean"] == pytest.approx(2 * (1 - tested["test_accuracy"]["mean"]))
    table = pd.read_csv(study / "trials.csv")
    assert list(table["val_cost"]) == list(table["loss"]) == sorted(table["loss"])
    assert list(table["val_cost"]) == pytest.approx(list(2 * (1 - table["val_accuracy"])))
    assert table["test_cost"][0] == tested["test_cost"]["mean"]
    cost = tested["test_cost"]["mean"]
    assert f"seed 0: test cost {cost:.4f}, test accuracy " in result.stderr
    validation = f"validation cost {tested['val_cost']['mean']:.4f}"
    assert f": test cost {cost:.4f}, {validation}, test accuracy " in result.stdout
    best = hpo("best", "s").output
    assert "val_cost" not in best.splitlines()[0]  # `loss` shows it
    assert "loss: the objective that the search minimised, val_cost (my_costs:cost)." in best
    assert "test_cost" in best.splitlines()[0]
    written = hpo("model", "s", "--out", "m").output
    assert f"test cost {cost:.4f}, test accuracy " in written
    assert f"{validation}, validation accuracy " in written
    assert "best     val_cost " in hpo("status", "s").output
    assert hpo("plot", "s", "--kind", "curves", "--out", "c.svg").exit_code == 0
    assert "cost" in (tmp_path / "c.svg").read_text()


def test_a_study_goes_on_with_the_function_that_it_was_begun_with_and_with_no_other(
    hpo: Hpo, space: Path, tmp_path: Path
) -> None:
    file = space.parent / "my_costs.py"
    assert hpo("search", "--space", space, "--trials", 1, "--runner", "inline", *WORDS).exit_code == 0
    file.write_text("# the same code\n" + SOURCE)
    assert hpo("resume", "s", "--trials", 2).exit_code == 0
    file.write_text(SOURCE.replace("2.0", "3.0"))
    for words in (("resume", "s", "--trials", 3), ("test", "s"), ("model", "s", "--out", "m")):
        result = hpo(*words)
        assert result.exit_code == 2
        assert "was begun with other code of its objective my_costs:cost: search under another name" in result.output
    again = hpo("search", "--space", space, "--trials", 3, "--runner", "inline", *WORDS)
    assert again.exit_code == 2
    assert "exists in " in again.output
    assert "with other code of its objective" in again.output
    assert hpo("status", "s").exit_code == hpo("best", "s").exit_code == 0
    file.rename(tmp_path / "my_costs.py")
    (tmp_path / "my_costs.py").write_text(SOURCE)
    assert hpo("resume", "s", "--trials", 3).exit_code == 0
    (tmp_path / "my_costs.py").unlink()
    gone = hpo("resume", "s", "--trials", 4)
    assert gone.exit_code == 2
    assert f"there is no file {tmp_path / 'my_costs.py'}; bring it back, or work in a folder that has it" in gone.output
    assert "allowed" not in gone.output
    assert len(pd.read_csv(tmp_path / "studies" / "s" / "trials.csv")) == 3


def test_replacing_an_empty_study_runs_the_file_of_the_function_as_often_as_a_new_study(
    hpo: Hpo, space: Path, tmp_path: Path
) -> None:
    words = ("search", "--space", space, "--runner", "inline", "--backend", "random", "-q", "--trials", 1)
    runs = tmp_path / "runs"
    count = f"with open({str(runs)!r}, 'a') as file: file.write('.')\n"
    file = space.parent / "my_costs.py"
    file.write_text(count + SOURCE)
    assert hpo(*words, "--study", "new").exit_code == 0
    n_runs = len(runs.read_text())
    empty = tmp_path / "studies" / "replaced"
    shutil.copytree(tmp_path / "studies" / "new", empty)
    record = (empty / "ledger.log").read_text().splitlines(keepends=True)
    begun = next(i for i, line in enumerate(record) if "suggestion:1" in line)
    (empty / "ledger.log").write_text("".join(record[:begun]))
    runs.unlink()
    assert hpo(*words, "--study", "replaced", "--seed", 5).exit_code == 0
    assert len(runs.read_text()) == n_runs


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def cost(logits, labels): return logits", "my_costs:cost returned tensor("),
        ("def cost(logits, labels): return 1 / 0", "my_costs:cost raised ZeroDivisionError: division by zero (/"),
        ("import nothing_at_all", "objective my_costs:cost: needs nothing_at_all, which is not installed"),
        ("def cst(logits, labels): ...", "my_costs.py has no function 'cost'; did you mean 'cst'?"),
    ],
)
def test_a_function_that_is_no_objective_is_one_message_and_leaves_no_study(
    hpo: Hpo, space: Path, tmp_path: Path, source: str, told: str
) -> None:
    prefix = "cost = None\n" if source.startswith("import") else ""
    (space.parent / "my_costs.py").write_text(prefix + source)
    result = hpo("search", "--space", space, "--trials", 4, "--runner", "inline", *WORDS)
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "studies" / "s" / "study.yaml").exists()
