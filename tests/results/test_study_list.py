"""The list of studies as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from hpo.results.study_list import COLUMNS, list_lines


def frame(*rows: Mapping[str, object]) -> pd.DataFrame:
    common = {"state": "finished", "objective": "val_loss", "best": 0.5, "test_accuracy": 0.75, "trials": 3}
    return pd.DataFrame([common | dict(row) for row in rows], columns=list(COLUMNS))


def test_the_objective_stands_above_the_best_values_and_the_test_is_called_accuracy() -> None:
    first, second, row = list_lines(frame({"study": "s"}), None)
    assert (first.split(), second.split()[:4]) == (["best", "test"], ["study", "state", "val_loss", "accuracy"])
    assert row.split()[:4] == ["s", "finished", "0.5000", "0.7500"]


def test_several_objectives_stand_beside_their_values() -> None:
    lines = list_lines(frame({"study": "s"}, {"study": "t", "objective": "val_error"}), None)
    assert lines[1].split()[:4] == ["study", "state", "objective", "accuracy"]
    assert [line.split()[2:4] for line in lines[2:]] == [["val_loss", "0.5000"], ["val_error", "0.5000"]]


def test_a_long_name_is_cut_in_the_middle_and_stands_alone_if_two_would_look_the_same() -> None:
    names = [f"flowers-with-a-long-name-freeze_thaw-{seed}" for seed in range(3)]
    lines = list_lines(frame(*({"study": name} for name in names)), 72)
    assert all(len(line) <= 72 for line in lines)
    shown = [line.split()[0] for line in lines[2:]]
    assert len(set(shown)) == 3
    assert all("..." in each and each[-1] == name[-1] for each, name in zip(shown, names, strict=True))
    alike = [f"a-long-name-of-a-study-{word}-whose-end-is-long-too" for word in ("lr", "wd")]
    lines = list_lines(frame(*({"study": name} for name in alike)), 60)
    assert [lines[2], lines[4]] == alike
