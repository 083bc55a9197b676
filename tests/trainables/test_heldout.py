import ast
from pathlib import Path

import pytest

from tests.trainables.declarations import ROOT
from trainables.datasets import digits
from trainables.heldout import held_out

ALLOWED_TO_ASK = "trainables/heldout.py"
ALLOWED_TO_IMPORT = "hpo/evaluate.py"


def looks(source: str) -> list[str]:
    """Each way by which a source could reach held-out data: `ask` for a call, `import` for the module."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "held_out":
            module = node.func.value
            found.append("import" if isinstance(module, ast.Name) and module.id == "heldout" else "ask")
        elif isinstance(node, ast.Call) and any(_is(argument, "held_out") for argument in node.args):
            found.append("ask")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [f"{getattr(node, 'module', None) or ''}.{alias.name}" for alias in node.names]
            if any("heldout" in name.split(".") for name in names):
                found.append("import")
        elif isinstance(node, ast.Call) and any(_is(argument, "trainables.heldout") for argument in node.args):
            found.append("import")
    return found


def _is(node: ast.expr, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def sources() -> list[Path]:
    return sorted(path for house in ("hpo", "trainables") for path in (ROOT / house).rglob("*.py"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("dataset.held_out()", ["ask"]),
        ("build(None).held_out()", ["ask"]),
        ("getattr(dataset, 'held_out')()", ["ask"]),
        ("from trainables.heldout import held_out", ["import"]),
        ("from trainables import heldout\nheldout.held_out(dataset)", ["import", "import"]),
        ("import trainables.heldout", ["import"]),
        ("import_module('trainables.heldout')", ["import"]),
        ("class Digits:\n    def held_out(self): return self._held_out", []),
        ("look.held_out['accuracy']", []),
    ],
)
def test_every_way_to_held_out_data_is_seen(source: str, expected: list[str]) -> None:
    assert looks(source) == expected


def test_one_function_alone_asks_a_data_set_for_its_held_out_part() -> None:
    asking = {path.relative_to(ROOT).as_posix() for path in sources() if "ask" in looks(path.read_text())}
    assert asking == {ALLOWED_TO_ASK}


def test_the_evaluation_alone_imports_that_function() -> None:
    importing = {path.relative_to(ROOT).as_posix() for path in sources() if "import" in looks(path.read_text())}
    assert importing <= {ALLOWED_TO_IMPORT}


def test_it_is_the_held_out_part_of_the_data_set() -> None:
    dataset = digits.build(None)
    assert held_out(dataset) is dataset.held_out()
