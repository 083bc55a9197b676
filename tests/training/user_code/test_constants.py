from __future__ import annotations

import enum
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hpo.training.user_code.constants import constant_text, name_of, sort_key


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("value", [1, 1.5, "a", None, b"a", Path("a"), Colour.RED, np.arange(3), np.float64(1)])
def test_equal_constants_have_the_same_text(value: object) -> None:
    text = constant_text(value)
    assert text is not None
    assert "0x" not in text


def test_different_constants_have_different_texts() -> None:
    values = [1, 1.0, "1", True, None, np.arange(3), np.arange(4), np.arange(3.0), Colour.RED]
    assert len({constant_text(value) for value in values}) == len(values)


def test_other_objects_have_no_text_but_a_name() -> None:
    assert constant_text(object()) is None
    assert name_of(object()) == "builtins.object"
    assert name_of(ModuleType("m")) == "module m"
    assert sort_key((object(), 1)) == sort_key((object(), 1))
