"""Each range of numbers that a module declares is the one with which its code reads the hyperparameter."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from hpo.plugins.number_range import NumberRange
from tests.trainables.declarations import ROOT, literals
from trainables.hyperparameters import Rule

SOURCES = [path for folder in ("trainables", "hpo/training") for path in sorted((ROOT / folder).rglob("*.py"))]
NUMBERS = (-1, -0.5, -1e-9, 0, 1e-9, 0.01, 0.02, 0.25, 0.5, 0.51, 0.9, 1, 1.5, 2, 3, 10, 11, 30, 31, 180, 181, 1e6)
WHOLE = {"read_int": True, "read_optional_int": True, "read_float": False, "read_optional_float": False}
ELSEWHERE = {"batch_size": "a regime may need more images in a batch than one"}


def reads(path: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """The function, the key and the call of each number that a file reads by a key of its text."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if function in WHOLE and len(node.args) > 1 and isinstance(key := node.args[1], ast.Constant):
                yield function, str(key.value), node


def allowed(path: Path, function: str, call: ast.Call) -> list[float] | None:
    """Those of NUMBERS that a call takes. None if its rule depends on more than its file says."""
    if WHOLE[function]:
        least = next((each.value for each in call.keywords if each.arg == "least"), ast.Constant(1))
        return None if not isinstance(least, ast.Constant) else [
            each for each in NUMBERS if isinstance(each, int) and each >= int(str(least.value))
        ]  # fmt: skip
    rule_name = getattr(call.args[-1], "id", getattr(call.args[-1], "attr", ""))
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    rule = getattr(module, rule_name, getattr(import_module("trainables.hyperparameters"), rule_name, None))
    return [each for each in NUMBERS if rule.holds(each)] if isinstance(rule, Rule) else None


READING = [path for path in SOURCES if any(True for _ in reads(path)) and "HYPERPARAMETERS" in literals(path)]


@pytest.mark.parametrize("path", READING, ids=lambda path: path.stem)
def test_a_declared_range_is_the_one_that_the_code_reads_with(path: Path) -> None:
    declared, found = literals(path)["RANGES"], dict[str, set[float]]()
    for function, key, call in reads(path):
        numbers = allowed(path, function, call)
        assert key in declared
        assert NumberRange.parse(declared[key]).is_whole == WHOLE[function]
        if numbers is not None:
            found[key] = found.get(key, set()) | set(numbers)
    for key, taken in found.items():
        if key not in ELSEWHERE:
            assert taken == {each for each in NUMBERS if NumberRange.parse(declared[key]).allows(each)}, key


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_ranges_and_conditions_belong_to_declared_hyperparameters(path: Path) -> None:
    found = literals(path)
    declared = {**found.get("HYPERPARAMETERS", {}), **found.get("OPTIONS", {})}
    ranges = {name for name in found.get("RANGES", {}) if name not in ELSEWHERE}
    assert ranges <= declared.keys()
    assert found.get("WHEN", {}).keys() <= declared.keys()
    numbers = {name for name, text in found.get("HYPERPARAMETERS", {}).items() if isinstance(text, str)}
    assert numbers - {"l2_on"} <= found.get("RANGES", {}).keys()
