from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo.training.code_digest import digest

BASE = """
WIDTH = 64

class Base:
    def step(self):
        return {"val_loss": 1.0}

class Net(Base):
    def __init__(self, config):
        self.layers = make_layers(WIDTH)

    def other(self, x):
        return x + 1

def make_layers(n):
    return [n] * 3

def train(config):
    net = Net(config)
    while True:
        yield net.step()

build = lambda config: Net(config)
pair = [lambda config: Net(config), lambda config: train(config)]
def unrelated():
    return 1
"""

Load = Callable[[str], Any]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Makes a module of a text."""
    count = iter(range(100))

    def load(text: str) -> Any:
        path = tmp_path / str(next(count)) / "own.py"
        path.parent.mkdir()
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("own", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["own"] = module
        spec.loader.exec_module(module)
        return module

    return load


CHANGES = {
    "a method": ('return {"val_loss": 1.0}', 'return {"val_loss": 2.0}'),
    "a function that it calls": ("[n] * 3", "[n] * 4"),
    "a constant": ("WIDTH = 64", "WIDTH = 65"),
    "a method of its own": ("x + 1", "x + 2"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["Net", "train", "build"])
def test_a_change_of_what_the_code_uses_changes_the_digest(name: str, change: str, load: Load) -> None:
    before = digest(getattr(load(BASE), name))
    assert digest(getattr(load(BASE.replace(*CHANGES[change])), name)) != before


@pytest.mark.parametrize("name", ["Net", "train", "build"])
def test_comments_layout_and_other_code_do_not_count(name: str, load: Load) -> None:
    before = digest(getattr(load(BASE), name))
    changed = BASE.replace("    return [n] * 3", "    # Three of them.\n\n    return [n]*3").replace(
        "return 1\n", "return 2\n"
    )
    assert digest(getattr(load("# New.\n" + changed), name)) == before


def test_a_lambda_is_told_from_the_statement_around_it(load: Load) -> None:
    call = "\ndef call(code, trials):\n    return code\n"
    text = BASE + call + "own = call(\n    lambda config: Net(config),\n    trials=20,\n)\n"
    before = digest(load(text).own)
    assert digest(load(text.replace("trials=20", "trials=30")).own) == before
    assert digest(load(text.replace("Net(config),", "Net({**config}),")).own) != before


def test_lambdas_of_one_line_are_told_apart(load: Load) -> None:
    first, second = load(BASE).pair
    assert digest(first) != digest(second)


def test_what_a_partial_and_a_closure_hold_counts(load: Load) -> None:
    module = load(BASE + "\ndef scaled(config, factor):\n    return Net(config)\n")
    one, two = (digest(functools.partial(module.scaled, factor=factor)) for factor in (1, 2))
    assert one != two
    one, two = (digest(functools.partial(module.scaled, factor=object())) for _ in range(2))
    assert one == two

    def made(factor: int) -> Callable[[object], object]:
        def build(config: object) -> object:
            return factor

        return build

    assert digest(made(1)) != digest(made(2))
    assert digest(made(1)) == digest(made(1))


def test_code_without_a_source_is_known_by_its_name() -> None:
    scope: dict[str, Any] = {"__name__": "nowhere"}
    exec("def one(config): return 1\ndef two(config): return 2", scope)
    before = digest(scope["one"])
    assert digest(scope["two"]) != before
    exec("def one(config): return 3", scope)
    assert digest(scope["one"]) == before
    assert digest(print) != digest(len)
