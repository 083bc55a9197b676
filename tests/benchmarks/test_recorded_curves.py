from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks import recorded_curves
from benchmarks.record_curves import rows
from benchmarks.recorded_curves import RecordedCurves, encoded
from hpo.record import History
from hpo.space import Fidelity, SearchSpace
from hpo.space.domains import Categorical, Domain, Float, Int
from hpo.trial import Config, Report, Suggestion

SPACE = """
space:
  optimizer: {choices: [sgd, adamw]}
  lr:        {low: 1e-4, high: 1e-2, log: true}
  momentum:  {low: 0.0, high: 0.9, when: {optimizer: [sgd]}}
fixed: {}
fidelity: {low: 1, high: 2}
"""
TABLE = """trial,optimizer,lr,momentum,epoch_1,epoch_2
0,sgd,0.0001,0.9,2.0,1.5
1,sgd,0.01,0.0,2.5,
2,adamw,0.001,,1.0,0.5
"""


@pytest.fixture
def table(tmp_path: Path) -> RecordedCurves:
    (tmp_path / "small.yaml").write_text(SPACE)
    (tmp_path / "small.csv").write_text(TABLE)
    return RecordedCurves("small", tmp_path)


def test_a_recorded_configuration_has_its_own_curve(table: RecordedCurves) -> None:
    assert table.configs[2] == {"optimizer": "adamw", "lr": 0.001}
    assert [table.curve(table.configs[2], epoch)["val_loss"] for epoch in (1, 2)] == [1.0, 0.5]
    assert [table.nearest(config) for config in table.configs] == [0, 1, 2]


def test_any_other_configuration_has_that_of_the_nearest_one(table: RecordedCurves) -> None:
    assert table.nearest({"optimizer": "sgd", "lr": 0.008, "momentum": 0.2}) == 1
    assert table.nearest({"optimizer": "adamw", "lr": 0.01}) == 2


def test_a_diverged_curve_is_nan_and_scores_as_the_worst(table: RecordedCurves) -> None:
    assert np.isnan(table.curve(table.configs[1], 2)["val_loss"])
    assert table.final(table.configs[1]) == 1.5
    assert (table.best, table.median) == (0.5, 1.5)


def active(c: float) -> list[Config]:
    return [{"a": "x", "n": 1, "c": c, "d": choice} for choice in ("p", "q")]


def test_two_choices_are_one_apart_and_inactive_hyperparameters_nothing() -> None:
    domains: dict[str, Domain] = {
        "a": Categorical(("x", "y", "z")),
        "n": Int(1, 3),
        "c": Float(0.0, 1.0, when={"a": ("x",)}),
        "d": Categorical(("p", "q"), when={"a": ("x",)}),
    }
    space = SearchSpace("s", domains, Fidelity(3))
    y, z = (np.array(encoded(space, {"a": choice, "n": 2})) for choice in ("y", "z"))
    assert np.linalg.norm(y - z) == pytest.approx(1)
    low, high = (np.array(encoded(space, {"a": "y", "n": n})) for n in (1, 3))
    assert np.linalg.norm(low - high) == pytest.approx(1)
    inactive: Config = {"a": "y", "n": 1}
    middle, p, q = (np.array(encoded(space, config))[-2:] for config in [inactive, *active(0.5)])
    assert np.linalg.norm(middle - p) == np.linalg.norm(middle - q) == pytest.approx(0.5)


def test_complete_trials_become_rows_and_others_do_not() -> None:
    space, history = SearchSpace("s", {"x": Float(0.0, 1.0)}, Fidelity(3)), History(3)
    for trial, losses in enumerate(([3.0, 2.0, 1.234567], [3.0, float("nan")], [4.0])):
        history.append(Suggestion(trial, {"x": 0.5}, until=3))
        for epoch, loss in enumerate(losses, start=1):
            history.append(Report(trial, epoch, 3.0, {"val_loss": loss}, 1.0, last=loss != loss))
    assert rows(space, history) == [
        ["trial", "x", "epoch_1", "epoch_2", "epoch_3"],
        [0, "0.5", "3", "2", "1.2346"],
        [1, "0.5", "3", "nan", ""],
    ]


@pytest.mark.parametrize("name", recorded_curves.names())
def test_the_tables_that_ship_lie_in_their_spaces(name: str) -> None:
    table, rng = RecordedCurves(name), random.Random(0)
    assert all(table.space.problem(config) is None for config in table.configs)
    assert table.best < table.median
    assert np.isfinite(table.curves[:, 0]).all()
    assert 0 <= table.nearest(table.space.sample(rng)) < len(table.configs)
