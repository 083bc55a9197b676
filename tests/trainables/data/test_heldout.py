import ast
from pathlib import Path

import pytest

from tests.trainables.declarations import ROOT
from trainables.data.heldout import held_out
from trainables.datasets import digits

ALLOWED_TO_ASK = {
    "trainables/data/heldout.py",
    "trainables/data/file_sets/grouping.py",
    "trainables/assembly/dataset_building.py",
}
"""The function, and two data sets that wrap another: they ask when they are asked themselves."""
WITH_FIELD = {
    "hpo/heldout/trial_result.py",
    "hpo/heldout/tested_model.py",
    "hpo/final_model/weights.py",
    "hpo/final_model/about.py",
    "trainables/datasets/huggingface.py",
}
"""Modules in which `held_out` is the field of a test result, or an option, and not the method of a data set."""
ALLOWED_TO_IMPORT = {
    "hpo/heldout/evaluator.py",
    "hpo/heldout/soup.py",
    "hpo/heldout/study_data.py",
    "hpo/heldout/more_data.py",
    "hpo/cli/data.py",
}
"""The tests of the best and of soups, the looks for broken and changed files, the training on all images.

None of them chooses anything by it.
"""


def accesses(source: str) -> list[str]:
    """Each way by which a source could reach held-out data: `ask` for the method, `import` for the module.

    A call with arguments is none of the method, nor is what is looked up like a mapping.
    """
    found, tree = [], ast.parse(source)
    others = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    others |= {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and (node.args or node.keywords)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "held_out":
            if isinstance(node.value, ast.Name) and node.value.id == "heldout":
                found.append("import")
            elif id(node) not in others:
                found.append("ask")
        elif isinstance(node, ast.Call) and any(_is(argument, "held_out") for argument in node.args):
            found.append("ask")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [f"{getattr(node, 'module', None) or ''}.{alias.name}" for alias in node.names]
            if any("heldout" in name.split(".") and "trainables" in name.split(".") for name in names):
                found.append("import")
        elif isinstance(node, ast.Call) and any(_is(argument, "trainables.data.heldout") for argument in node.args):
            found.append("import")
    return found


def _is(node: ast.expr, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def sources() -> list[Path]:
    return sorted(path for package in ("hpo", "trainables") for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("dataset.held_out()", ["ask"]),
        ("build(None).held_out()", ["ask"]),
        ("look = dataset.held_out", ["ask"]),
        ("map(dataset.held_out, [])", ["ask"]),
        ("getattr(dataset, 'held_out')()", ["ask"]),
        ("from trainables.data.heldout import held_out", ["import"]),
        ("from trainables.data import heldout\nheldout.held_out(dataset)", ["import", "import"]),
        ("import trainables.data.heldout", ["import"]),
        ("import_module('trainables.data.heldout')", ["import"]),
        ("class Digits:\n    def held_out(self): return self._held_out", []),
        ("look.held_out['accuracy']", []),
        ("worker.held_out(heldout.held_out, settings)", ["import"]),
    ],
)
def test_every_way_to_held_out_data_is_seen(source: str, expected: list[str]) -> None:
    assert accesses(source) == expected


def test_only_one_function_and_a_wrapper_ask_a_data_set_for_its_held_out_part() -> None:
    asking = {path.relative_to(ROOT).as_posix() for path in sources() if "ask" in accesses(path.read_text())}
    assert asking - WITH_FIELD == ALLOWED_TO_ASK


def test_what_trains_or_searches_never_imports_that_function() -> None:
    importing = {path.relative_to(ROOT).as_posix() for path in sources() if "import" in accesses(path.read_text())}
    assert importing <= ALLOWED_TO_IMPORT


def test_it_is_the_held_out_part_of_the_data_set() -> None:
    dataset = digits.build(None)
    assert held_out(dataset) is dataset.held_out()
