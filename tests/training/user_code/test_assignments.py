"""Globals whose contents do not count: the source of their assignment does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hpo.training.user_code import digest
from tests.training.own_modules import load

BASE = """
import re

WORD = re.compile("a+")
DEFAULTS = {"lr": 1, "m": 2}
UNRELATED = re.compile("c")
if True:
    COUNT, = [0]

def train(config, given=DEFAULTS):
    global COUNT
    COUNT += 1
    DEFAULTS["lr"] = config["lr"]
    given = dict(given)
    yield {"val_loss": len(WORD.findall("aab")) + given["m"]}
"""


@pytest.mark.parametrize(
    ("before", "after"), [('"a+"', '"b+"'), ('"m": 2', '"m": 3'), ("COUNT, = [0]", "COUNT, = [1]")]
)
def test_a_changed_assignment_changes_the_digest(tmp_path: Path, before: str, after: str) -> None:
    one = digest(load(tmp_path / "one.py", BASE).train)
    assert digest(load(tmp_path / "one.py", BASE.replace('compile("c")', 'compile("d")')).train) == one
    assert digest(load(tmp_path / "one.py", BASE.replace(before, after)).train) != one


def test_training_does_not_change_the_digest(tmp_path: Path) -> None:
    train: Any = load(tmp_path / "one.py", BASE).train
    before = digest(train)
    config: Mapping[str, Any] = {"lr": 5}
    assert next(train(config))["val_loss"] > 0
    assert digest(train) == before


def test_what_is_imported_in_a_function_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "own_of_assignments"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "near.py").write_text("from .far import WIDTH\n")
    (package / "far.py").write_text("WIDTH = 1\n")
    text = "def train(config):\n    import own_of_assignments.near as near\n    yield {'val_loss': near.WIDTH}\n"
    train = load(tmp_path / "one.py", text).train
    before = digest(train)
    (package / "far.py").write_text("WIDTH = 2\n")
    assert digest(train) != before
