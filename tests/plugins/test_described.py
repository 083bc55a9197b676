"""What `hpo describe` says: meanings, values and defaults, which are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from hpo import plugins
from hpo.plugins import described
from hpo.plugins.declarations import Declared
from hpo.plugins.described import Setting

ROOT = Path(__file__).parents[2]
READERS = ("read_float", "read_int", "read_choice", "read_bool")
MODULES = {
    module: described.hyperparameters(module)
    for package in plugins.TASK_PACKAGES.values()
    for module in plugins.names(package).values()
}
ALL = {each.name: each for found in [*MODULES.values(), described.hyperparameters(plugins.WORKER)] for each in found}


@pytest.mark.parametrize("name", ALL)
def test_every_hyperparameter_has_a_meaning_and_a_default(name: str) -> None:
    assert ALL[name].meaning
    assert ALL[name].default
    assert len(ALL[name].values) != 1


def read_defaults() -> dict[str, set[object]]:
    """The defaults with which the code reads each hyperparameter, as far as both are written as literals."""
    found: dict[str, set[object]] = {}
    for path in [*(ROOT / "trainables").rglob("*.py"), *(ROOT / "hpo" / "training").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=reader) | ast.Attribute(attr=reader), args=[_, key, default, *_]) if (
                    reader in READERS and isinstance(key, ast.Constant) and isinstance(default, ast.Constant)
                ):
                    found.setdefault(str(key.value), set()).add(default.value)
    return found


DEFAULTS = {
    name: values for name, values in read_defaults().items() if name in ALL and name not in ("clip_norm", "background")
}
"""`clip_norm` and `background` are read only if they are given."""


def test_the_code_reads_most_hyperparameters_with_a_literal_default() -> None:
    assert len(DEFAULTS) > 30


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_that_is_described_is_that_of_the_code(name: str) -> None:
    """Of a default that depends on others, the description says all: "0, in nag 0.9"."""
    texts = {each.default or "" for found in MODULES.values() for each in found if each.name == name}
    described_as = " ".join(texts or {ALL[name].default or ""})  # `dropout` has a default for each model
    for value in DEFAULTS[name]:
        if isinstance(value, bool):
            assert described_as == str(value).lower()
        elif isinstance(value, int | float):
            assert value in [float(number) for number in re.findall(r"[0-9][0-9.e-]*", described_as)]
        else:
            assert described_as == value


def test_the_options_of_a_backend_are_those_of_its_function_with_their_texts_and_defaults() -> None:
    options = {each.name: each for each in described.build_options("hpo.backends.asha", "backend")}
    assert set(options) == {"searcher", "brackets"}
    assert options["searcher"].default == "random"
    assert options["searcher"].meaning.startswith("what draws configurations.")
    assert described.build_options("hpo.backends.random", "backend") == []


def test_a_description_is_split_from_its_default_and_the_first_of_a_list_is_the_default() -> None:
    declared: Declared = {
        "width": "channels, at least 1; default 16",
        "kind": ["a", "b"],
        "part": "head (default) or all",
    }
    assert described.settings(declared, {"kind": "which"}) == [
        Setting("width", "channels, at least 1", (), "16"),
        Setting("kind", "which", ("a", "b"), "a"),
        Setting("part", "head (default) or all", (), None),
    ]
