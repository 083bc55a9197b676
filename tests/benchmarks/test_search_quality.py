from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clocked import clocked
from benchmarks.plays import Wanted, key_of, lines, play_all, played
from benchmarks.search_quality import ALONE, main, tables
from benchmarks.synthetic_curves import SyntheticCurves
from hpo.errors import UserError
from hpo.loop.simulation import play

SHORT = Wanted("branin-crossing@5", "random", seed=0, slots=1, noise=0.0, trainings=5)


def without_times(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in ("ask_ms", "tell_ms", "seconds")}


def test_a_run_has_the_same_result_again() -> None:
    first, again = played(SHORT), played(SHORT)
    assert without_times(first) == without_times(again)
    assert (first["epochs"], first["trials"], len(first["ask_ms"])) == (25, 5, 5)
    assert key_of(first) == SHORT.key
    assert set(first["regrets"]) == {"5"}


def test_a_label_tells_two_versions_of_a_backend_apart() -> None:
    labelled = Wanted(**{**vars(SHORT), "label": "new"})
    assert played(labelled)["backend"] == "random (new)"
    assert labelled.key != SHORT.key


def test_options_of_a_backend_follow_its_name() -> None:
    space = SyntheticCurves("branin-crossing@5", 0).space
    clocked("optuna:sampler=random,pruner=none", space, 0)
    with pytest.raises(UserError, match="sampler"):
        clocked("optuna:sampler=nothing", space, 0)
    with pytest.raises(UserError, match="name=value"):
        clocked("optuna:sampler", space, 0)


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps({"a": 1}) + '\n{"a": ')
    assert lines(path) == [{"a": 1}]
    assert lines(tmp_path / "none") == []


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_are_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = Wanted(**{**vars(SHORT), "backend": "optuna:sampler=nothing"})
    assert not play_all([failing, SHORT], tmp_path / "results.jsonl", processes=1)
    assert [line["backend"] for line in lines(tmp_path / "results.jsonl")] == ["random"]
    assert "optuna:sampler=nothing failed on branin-crossing@5, seed 0: UnknownName" in capsys.readouterr().err


def test_each_group_slots_and_noise_has_a_table() -> None:
    line = {
        "backend": "a",
        "seed": 0,
        "trainings": 5,
        "regrets": {"5": 0.1},
        "ask_ms": [1.0],
        "tell_ms": 1,
        "epochs": 2,
    }
    made = [
        line | {"problem": problem, "slots": slots, "noise": noise}
        for problem, slots, noise in [
            ("lcbench/1", 1, 0.0),
            ("lcbench/2", 1, 0.0),
            ("lcbench/1", 8, 0.1),
            ("x", 1, 0.0),
        ]
    ]
    titles = [table.splitlines()[0] for table in tables(made, "now")]
    assert titles == ["### lcbench, 1 slot", "### lcbench, 8 slots, noise 0.1", "### x, 1 slot"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("problem", ["branin-crossing@5", "branin-diverging@9"])
def test_the_libraries_by_themselves_search_like_backends(name: str, problem: str) -> None:
    curves = SyntheticCurves(problem, 0)
    epochs = 8 * curves.space.fidelity.high
    first, second = (
        play(clocked(name, curves.space, 3), curves.space, curves.curve, slots=2, epochs=epochs) for _ in range(2)
    )
    assert first.n_epochs == epochs
    assert repr(first.events) == repr(second.events)  # NaN equals NaN there


def quick(monkeypatch: pytest.MonkeyPatch, path: Path, *arguments: str) -> object:
    """Run the benchmark in a tiny size. Returns its exit status, or the message that it ends with."""
    monkeypatch.setattr(sys, "argv", ["benchmarks/search_quality.py", "--quick", "--results", str(path), *arguments])
    try:
        main()
    except SystemExit as end:
        return end.code
    return 0


@pytest.mark.slow
def test_a_benchmark_that_was_interrupted_plays_only_what_is_lacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.jsonl"
    assert quick(monkeypatch, path) == 0
    before = path.read_text().splitlines()
    assert len(before) == 4
    path.write_text("\n".join(before[:3]) + '\n{"problem": "bra')
    capsys.readouterr()
    assert quick(monkeypatch, path) == 0
    shown = capsys.readouterr().err
    assert [line for line in shown.splitlines() if "1/1 branin-crossing@5 seed" in line], shown
    assert sorted(map(key_of, lines(path))) == sorted(key_of(json.loads(line)) for line in before)


def test_an_unknown_problem_ends_with_an_error_that_names_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "did you mean 'branin-silent'?" in str(quick(monkeypatch, tmp_path / "r", "--problems", "branin-silnt"))


@pytest.mark.slow
def test_an_unknown_backend_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick(monkeypatch, tmp_path / "r", "--backends", "rndom") == 1
    assert "failed on branin-crossing@5, seed 0: UnknownName: unknown backend 'rndom'" in capsys.readouterr().err
