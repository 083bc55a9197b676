"""The benchmark of what an earlier study is worth, on a tiny pair, and its table."""

from __future__ import annotations

import pytest

from benchmarks import lcbench
from benchmarks.transfer import (
    FROM,
    GROUPS,
    INVERTED,
    N_TARGETS,
    WITHOUT,
    Run,
    correlation,
    lcbench_pairs,
    played,
    tables,
)
from hpo.errors import UserError

SHORT = Run("branin-crossing@5", "branin-noisy@5", "given", 1.0, seed=0, trainings=5, source_trainings=5)


def test_a_run_searches_the_target_in_three_ways_and_repeats_exactly() -> None:
    line = played(SHORT)
    assert line == played(SHORT)
    assert set(line["regrets"]) == {WITHOUT, FROM, INVERTED}
    assert all(set(found) == {"2", "5"} for found in line["regrets"].values())
    assert line["regrets"][FROM] != line["regrets"][WITHOUT]


def test_a_function_is_like_itself_and_unlike_another() -> None:
    assert correlation("branin-crossing@5", "branin-noisy@5") == pytest.approx(1)
    assert abs(correlation("branin-crossing@5", "hart6-crossing@5")) < 0.3


def test_the_table_has_the_differences_with_their_errors() -> None:
    regrets = [{WITHOUT: {"2": a}, FROM: {"2": b}, INVERTED: {"2": a}} for a, b in ((0.5, 0.25), (0.75, 0.25))]
    runs = [SHORT._replace(seed=seed, trainings=2)._asdict() | {"regrets": regrets[seed]} for seed in (0, 1)]
    (text,) = tables(runs, "now")
    assert "| given   | 1.00          | 2      | without        | 0.625" in text
    assert "0.250 (-0.375 ± 0.125)" in text
    assert "0.625 (+0.000 ± 0.000)" in text


def test_the_pairs_are_different_data_sets_for_development() -> None:
    try:
        held_out = set(lcbench.instances(held_out=True))
    except UserError:
        pytest.skip("HPO_DATA names no folder with lcbench")
    pairs = list(lcbench_pairs())
    assert len({target for _, target, _ in pairs}) == N_TARGETS
    assert all(source != target for source, target, _ in pairs)
    assert not {name for source, target, _ in pairs for name in (source, target)} & held_out
    assert [group for _, _, group in pairs[:3]] == list(GROUPS)
