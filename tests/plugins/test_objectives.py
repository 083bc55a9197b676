"""Objectives that are functions of the user: found without an import, then loaded."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpo import plugins
from hpo.errors import UserError
from hpo.space import Fidelity, SearchSpace
from hpo.space.domains import Float

SOURCE = """
from math import hypot
import json.decoder
from os.path import *

if True:
    def inside(logits, labels): ...

def cost(logits, labels): ...
def many(*arrays, scale=1.0): ...
def one(logits): ...
def three(logits, labels, weights): ...
def keyword(logits, labels, *, scale): ...
async def later(logits, labels): ...
class Kind: ...
by_lambda = lambda logits, labels: 0.0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "installed")])
    monkeypatch.chdir(tmp_path)
    for name in ("", "beside", "installed/own_costs"):
        (tmp_path / name).mkdir(exist_ok=True, parents=True)
    (tmp_path / "installed/own_costs/__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "installed/own_costs/costs.py").write_text(SOURCE.replace("from os.path import *\n", ""))
    (tmp_path / "beside/costs.py").write_text(SOURCE.replace("from os.path import *\n", ""))
    (tmp_path / "open.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("def cost(logits, labels):\n    return (\n")
    return tmp_path


def problems(objective: str, folder: Path) -> list[str]:
    return [text for _, text in plugins.objectives.problems(objective, [folder / "beside", Path()])]


def space(objective: str) -> SearchSpace:
    return SearchSpace("s", {"lr": Float(0, 1)}, Fidelity(1), objective=objective)


@pytest.mark.parametrize("name", ["cost", "many", "inside", "by_lambda", "hypot", "json"])
@pytest.mark.parametrize("module", ["costs", "costs.py", "beside/costs.py", "own_costs.costs", "{}/beside/costs.py"])
def test_a_function_in_a_file_or_a_module_is_found_without_an_import(folder: Path, module: str, name: str) -> None:
    assert problems(f"{module.format(folder)}:{name}", folder) == []


def test_a_module_that_may_have_names_that_cannot_be_seen_is_believed(folder: Path) -> None:
    assert problems("open:isabs", folder) == []
    assert problems("math:hypot", folder) == []  # it has no source


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        ("costs:csot", "costs.py has no function 'csot'; did you mean 'cost'? (allowed: cost, inside, keyword, many, "),
        ("own_costs.costs:csot", "costs.py has no function 'csot'; did you mean 'cost'?"),
        ("costs:one", "costs.py:10: one takes (logits); an objective takes (logits, labels)"),
        ("costs:three", "three takes (logits, labels, weights); an objective takes (logits, labels)"),
        ("costs:keyword", "keyword takes (logits, labels, *, scale); an objective takes (logits, labels)"),
        ("costs:later", "later is an async function; an objective is a plain one"),
        ("costs:Kind", "Kind is a class; an objective is a function of (logits, labels)"),
        (
            "cots:cost",
            "there is no module cots, and no file cots.py in {}/beside or the working directory; did you mean",
        ),
        ("cots.py:cost", "there is no file cots.py in {}/beside or the working directory; did you mean 'costs.py'?"),
        ("{}/gone.py:cost", "there is no file {}/gone.py; bring it back, or work in a folder that has it"),
        ("own_costs.cost:cost", "there is no module own_costs.cost; did you mean 'own_costs.costs'?"),
        ("own_cost.costs:cost", "there is no module own_cost.costs (allowed: none); install it, add its folder"),
        ("broken:cost", "broken.py:2: is broken Python: '(' was never closed"),
    ],
)
def test_what_is_wrong_with_a_function_is_told_with_the_nearest_name(folder: Path, objective: str, told: str) -> None:
    objective = objective.format(folder)
    (problem,) = problems(objective, folder)
    assert problem.startswith(f"{objective}: ")
    assert told.format(folder) in problem


def test_a_space_in_python_is_checked_in_the_working_directory(folder: Path) -> None:
    (line,) = plugins.problem_lines(space("broken:cost"))
    assert line.startswith("objective: broken:cost: ")
    assert plugins.problem_lines(replace(space("costs:cost"), objective_file=str(folder / "beside/costs.py"))) == []


def test_the_file_beside_the_space_comes_first_and_is_loaded_by_its_path(folder: Path) -> None:
    (folder / "costs.py").write_text("def cost(logits, labels): return 'here'\n")
    (folder / "beside/costs.py").write_text("from other import cost\n")
    (folder / "beside/other.py").write_text("def cost(logits, labels): return 'beside'\n")
    found = space("costs:cost").located(folder / "beside", folder)
    assert found.objective_file == str(folder / "beside/costs.py")
    beside, here = (plugins.objectives.load(each) for each in (found, space("costs:cost").located(folder)))
    assert beside is not None
    assert here is not None
    assert (beside(0, 0), here(0, 0)) == ("beside", "here")
    assert found == space("costs:cost")
    assert found.digest() == space("costs:cost").digest()
    assert plugins.objectives.load(space("val_error")) is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("1 / 0", "objective own:cost: {}/own.py:1: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "own.py:1: SystemExit: 3"),
        ("import not_installed_at_all", "needs not_installed_at_all, which is not installed"),
        ("cost = 3", "own.py has no function `cost`"),
    ],
)
def test_a_module_that_cannot_be_used_is_an_error_of_one_line(folder: Path, source: str, told: str) -> None:
    (folder / "own.py").write_text(source)
    with pytest.raises(UserError) as caught:
        plugins.objectives.load(space("own:cost").located(folder))
    assert told.format(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_installed_module_that_cannot_be_imported_is_an_error_of_one_line(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        plugins.objectives.load(space("own_costs.costs:cost"))
    assert str(caught.value) == (
        "objective own_costs.costs:cost: importing own_costs.costs raised AssertionError: imported"
    )
    with pytest.raises(UserError, match=r"objective costs:cost: there is no file /gone/costs.py; bring it back"):
        plugins.objectives.load(replace(space("costs:cost"), objective_file="/gone/costs.py"))
    with pytest.raises(UserError, match=r"objective own_no.costs:cost: needs own_no, which is not installed"):
        plugins.objectives.load(space("own_no.costs:cost"))
