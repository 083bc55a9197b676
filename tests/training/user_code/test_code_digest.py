from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo.training.user_code.code_digest import digest
from tests.training import own_modules

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

    return lambda text: own_modules.load(tmp_path / str(next(count)) / "own.py", text)


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


def test_code_without_a_source_counts_by_its_bytecode() -> None:
    scope: dict[str, Any] = {"__name__": "nowhere"}
    exec("def one(config): return 1\ndef two(config): return 2", scope)
    before = digest(scope["one"])
    assert digest(scope["two"]) != before
    exec("\n\ndef one(config): return 1  # the same", scope)
    assert digest(scope["one"]) == before
    exec("def one(config): return 3", scope)
    assert digest(scope["one"]) != before
    assert digest(print) != digest(len)


MODULES = {
    "from helpers import build\nown = lambda config: build(config)\n": True,
    "import helpers as h\nown = lambda config: h.build(config)\n": True,
    "import helpers as h\nown = lambda config: h.other(config)\n": False,
    "import inner.helpers\nown = lambda config: inner.helpers.build(config)\n": True,
    "def own(config):\n    from helpers import build\n    return build(config)\n": True,
    "def own(config):\n    from inner import helpers\n    return helpers.build(config)\n": True,
}


@pytest.mark.parametrize("text", MODULES)
def test_code_of_other_own_modules_counts(
    text: str, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers = "LR = 0.1\ndef build(config):\n    return [LR]\ndef other(config):\n    return 2\n"

    def found(source: str) -> str:
        folder = tmp_path / f"modules{len(list(tmp_path.iterdir()))}"
        (folder / "inner").mkdir(parents=True)
        (folder / "helpers.py").write_text(source)
        (folder / "inner" / "helpers.py").write_text(source)
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
        for name in ("helpers", "inner", "inner.helpers"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return digest(load(text).own)

    before = found(helpers)
    assert found("# New.\n" + helpers) == before
    assert (found(helpers.replace("[LR]", "[LR, 1]")) != before) == MODULES[text]
    assert (found(helpers.replace("0.1", "0.2")) != before) == MODULES[text]


def test_installed_packages_count_by_name(load: Load) -> None:
    text = "from json import dumps\nown = lambda config: dumps(config)\n"
    assert digest(load(text).own) != digest(load(text.replace("import dumps", "import loads as dumps")).own)


def test_default_arguments_count(load: Load) -> None:
    module = load("made = [lambda config, w=w: w for w in (1.0, 2.0)]\nkey = [lambda c, *, w=w: w for w in (1, 2)]\n")
    assert len({digest(each) for each in (*module.made, *module.key)}) == 4


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("[1, 2]", "[1, 3]"),
        ("{'a': 1}", "{'a': 2}"),
        ("{'a', 'b'}", "{'a', 'c'}"),
        ("frozenset({1})", "frozenset({2})"),
        ("{'a': [{'b': (1, {2})}]}", "{'a': [{'b': (1, {3})}]}"),
        ("Mode.A", "Mode.B"),
        ("Path('a')", "Path('b')"),
        ("[object(), 1]", "[object(), 2]"),
        ("[one]", "[two]"),
        ("{'f': Own}", "{'f': one}"),
        ("Own(1)", "Own(2)"),
        ("Own([Own(1)])", "Own([Own(2)])"),
        ("Slots(1)", "Slots(2)"),
        ("SimpleNamespace(lr=1)", "SimpleNamespace(lr=2)"),
        ("numpy.zeros(2)", "numpy.ones(2)"),
        ("numpy.float32(1)", "numpy.float32(2)"),
        ("cached(1)", "cached(2)"),
        ("wrapped(one)", "wrapped(two)"),
        ("Own(1).value_of", "Own(2).value_of"),
    ],
)
def test_constants_of_every_kind_count(value: str, other: str, load: Load) -> None:
    text = """
import enum, functools, numpy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
class Mode(enum.Enum):
    A = 1
    B = 2
class Own:
    def __init__(self, value):
        self.value = value
        self.me = self
    def value_of(self):
        return self.value
@dataclass(slots=True)
class Slots:
    value: int
def one(): return 1
def two(): return 2
def cached(n):
    @functools.lru_cache
    def f(x): return n
    return f
def wrapped(f):
    @functools.wraps(f)
    def g(): return f() + 1
    return g
VALUE = ...
def train(config):
    yield VALUE
"""
    before = digest(load(text.replace("...", value)).train)
    assert digest(load(text.replace("...", value)).train) == before
    assert digest(load(text.replace("...", other)).train) != before


def test_lambdas_of_one_line_that_differ_in_constants_are_told_apart(load: Load) -> None:
    module = load(
        "def ep(x): return x\npair = [lambda c: ep(1.0), lambda c: ep(2.0)]\n"
        "def made(f): return [lambda c: f(c), lambda c: f.a(c), lambda c: (lambda: f(c))]\nthree = made(ep)\n"
    )
    assert len({digest(each) for each in (*module.pair, *module.three)}) == 5


def test_an_attribute_does_not_stand_for_a_global_of_its_name(load: Load) -> None:
    text = "lr = 1\nclass Net:\n    def step(self):\n        return self.lr\n"
    assert digest(load(text).Net) == digest(load(text.replace("lr = 1", "lr = 2")).Net)
    text = "lr = 1\nclass Net:\n    rate = lr\n    def step(self):\n        return self.rate\n"
    assert digest(load(text).Net) != digest(load(text.replace("lr = 1", "lr = 2")).Net)


CHANGING = {
    "a global": "n = 0\ndef train():\n    global n\n    n += 1\n",
    "a global, elsewhere": "n = 0\ndef count():\n    global n\n    n += 1\ndef train():\n    count()\n    return n\n",
    "a list": "seen = []\ndef train():\n    seen.append(1)\n",
    "a cache": "cache = {}\ndef get(k):\n    return cache[k]\ndef train():\n    cache['k'] = 1\n    return get('k')\n",
    "a default": "def train(memo={}):\n    memo['a'] = 1\n",
    "a class attribute": "class Net:\n    n = 0\ndef train():\n    Net.n += 1\n",
    "an attribute": "class C:\n    n = 0\nc = C()\ndef train():\n    c.n += 1\n",
    "an attribute, by a method": "class C:\n    def __init__(self): self.n = 0\n    def up(self): self.n += 1\n"
    "c = C()\ndef train():\n    c.up()\n",
    "a variable of a closure": "def make():\n    n = 0\n    def train():\n        nonlocal n\n        n += 1\n"
    "    return train\ntrain = make()\n",
    "a list of a closure": "def make():\n    n = []\n    def train():\n        n.append(1)\n    return train\n"
    "train = make()\n",
}


@pytest.mark.parametrize("is_file", [True, False])
@pytest.mark.parametrize("what", CHANGING)
def test_what_the_code_changes_does_not_count(what: str, is_file: bool, load: Load) -> None:
    scope: dict[str, Any] = {"__name__": "nowhere"}
    exec(CHANGING[what], scope)
    train = load(CHANGING[what]).train if is_file else scope["train"]
    before = digest(train)
    train()
    assert digest(train) == before


def test_odd_objects_never_raise(load: Load) -> None:
    text = """
class Odd:
    def __getattr__(self, name): raise RuntimeError(name)
    def __repr__(self): raise RuntimeError
    def __eq__(self, other): raise RuntimeError
    def __hash__(self): return 1
    __class__ = property(lambda self: 1 / 0)
class Endless:
    def __getattr__(self, name): return Endless()
    def __call__(self): return ODD, ENDLESS, LOOP, DEEP, WIDTH
ODD, ENDLESS, LOOP, DEEP, WIDTH = Odd(), Endless(), [], [], 1
LOOP.append([LOOP, LOOP, {"loop": LOOP}])
for _ in range(5000): DEEP = [DEEP]
def train(config):
    yield ODD, ENDLESS, LOOP, DEEP, WIDTH
"""
    module, changed = load(text), load(text.replace("[], [], 1", "[], [], 2"))
    odd: list[Any] = [module.ODD, module.ENDLESS, 3, None, [], type("Made", (), {"f": module.ODD})]
    for each in odd:
        assert digest(each) == digest(each)
    assert digest(module.train) != digest(changed.train)
    assert digest(module.ENDLESS) != digest(changed.ENDLESS)
