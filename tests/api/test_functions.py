from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hpo import search
from hpo.errors import Mistake, StudyError
from tests import toy


def test_a_search_from_python_returns_its_table_best_first(tmp_path: Path) -> None:
    space = {"space": {"x": {"low": 0.0, "high": 1.0}}, "fidelity": {"high": 9}}
    table = search(space, backend="bohb", trainable=toy.build, epochs=60, studies=tmp_path, devices="cpu").table()
    assert isinstance(table, pd.DataFrame)
    assert table["epochs"].sum() == 60
    assert list(table["loss"]) == sorted(table["loss"])
    assert {"trial", "state", "x", "val_loss", "stopping_epoch"} <= set(table.columns)


def test_a_script_that_is_run_again_trains_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_TOY_LOG", str(tmp_path / "trained.log"))
    space = {"space": {"x": {"low": 0.0, "high": 1.0}}, "fidelity": {"high": 3}}
    first = search(space, backend="random", trainable=toy.build, trials=3, studies=tmp_path, devices="cpu").table()
    again = search(space, backend="random", trainable=toy.build, trials=3, studies=tmp_path, devices="cpu").table()
    pd.testing.assert_frame_equal(first, again)
    assert len((tmp_path / "trained.log").read_text().splitlines()) == 9
    with pytest.raises(StudyError, match="another space"):
        search({**space, "fidelity": {"high": 4}}, backend="random", trainable=toy.build, studies=tmp_path)


def test_a_search_that_nothing_is_to_train_for_says_so(tmp_path: Path) -> None:
    space = {"space": {"x": {"low": 0.0, "high": 1.0}}, "fidelity": {"high": 9}}
    with pytest.raises(Mistake, match="nothing says what to train"):
        search(space, studies=tmp_path)
    with pytest.raises(Mistake, match="unknown setting 'bakend'; did you mean 'backend'"):
        search(space, trainable=toy.build, studies=tmp_path, bakend="bohb")
