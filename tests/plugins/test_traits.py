from __future__ import annotations

from collections.abc import Callable
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.plugins import traits


def said(folder: Path, source: str, read: Callable[..., object]) -> object:
    """What a module with this source says of itself."""
    (folder / "part.py").write_text(source)
    return read("part", lambda name: spec_from_file_location(name, folder / f"{name}.py"))


def test_a_regime_trains_on_another_data_set_first_only_if_it_says_so(tmp_path: Path) -> None:
    assert said(tmp_path, "PRETRAINING = True\nraise AssertionError\n", traits.pretrains) is True
    assert said(tmp_path, "PRETRAINING = False\n", traits.pretrains) is False
    assert said(tmp_path, "HYPERPARAMETERS = {}\n", traits.pretrains) is False
    with pytest.raises(UserError, match=r"part\.py: PRETRAINING must be True or False$"):
        said(tmp_path, "PRETRAINING = 'yes'\n", traits.pretrains)


def test_what_trains_is_read_without_running_the_file(tmp_path: Path) -> None:
    assert said(tmp_path, "TRAINS = 'head'\nraise AssertionError\n", traits.trains) == "head"
    assert said(tmp_path, "HYPERPARAMETERS = {}\n", traits.trains) is None
    with pytest.raises(UserError, match=r'part\.py: TRAINS must be "head" or "all"$'):
        said(tmp_path, "TRAINS = 'heads'\n", traits.trains)
    assert said(tmp_path, "HEAD_ONLY = True\n", traits.has_head_alone) is True
    assert said(tmp_path, "", traits.has_head_alone) is False
    assert said(tmp_path, "LINEAR_HEAD = False\n", traits.has_linear_head) is False
    assert said(tmp_path, "", traits.has_linear_head) is True


def test_weights_may_be_averaged_unless_a_regime_says_no(tmp_path: Path) -> None:
    assert said(tmp_path, "AVERAGEABLE = False\nraise AssertionError\n", traits.is_averageable) is False
    assert said(tmp_path, "", traits.is_averageable) is True
    with pytest.raises(UserError, match=r"part\.py: AVERAGEABLE must be True or False$"):
        said(tmp_path, "AVERAGEABLE = 'no'\n", traits.is_averageable)


def test_a_literal_that_must_be_run_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"part\.py:2: TRAINS must be a literal: it is read without being run"):
        said(tmp_path, "part = 'head'\nTRAINS = part\n", traits.trains)
