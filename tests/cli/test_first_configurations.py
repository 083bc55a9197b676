from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.cli.commands import SEARCH, TOY, Hpo

LISTS = TOY.replace(
    "x: {low: 0.0, high: 1.0}", "x: {low: 0.0, high: 1.0, step: 0.25}\n  w: {choices: [[64, 64], [128]]}"
)
NINE = (*SEARCH[:-1], "9")


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path / "trials.csv").sort_values("trial").reset_index()


def test_try_names_configurations_one_by_one_and_by_a_csv_file(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(LISTS)
    (tmp_path / "known.csv").write_text('loss,w,kind,x,y,other\n0.1,"[64, 64]",b,0.5,,7\n0.2,[128],a,0.25,1e-2,8\n')
    result = hpo(*NINE, "--study", "s", "--try", "kind=b,w=[128],x=1", "--try", "known.csv")
    assert result.exit_code == 0, result.output
    seen = table(tmp_path / "studies" / "s")
    assert list(seen["x"][:3]) == [1.0, 0.5, 0.25]
    assert list(seen["w"][:3]) == ["[128]", "[64, 64]", "[128]"]
    assert seen["y"][2] == 0.01


def test_an_exported_table_is_a_file_of_configurations(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(LISTS)
    assert hpo(*NINE, "--study", "a").exit_code == 0
    assert hpo("export", "a", "--out", "a.csv").exit_code == 0
    assert hpo(*NINE, "--study", "b", "--seed", "5", "--try", "a.csv").exit_code == 0
    best_first = pd.read_csv(tmp_path / "a.csv")[["kind", "x", "w", "y"]]
    again = table(tmp_path / "studies" / "b")[["kind", "x", "w", "y"]]
    pd.testing.assert_frame_equal(again, best_first)


def test_from_takes_the_best_that_fit_and_names_the_others(hpo: Hpo, tmp_path: Path) -> None:
    assert hpo(*NINE, "--study", "a").exit_code == 0
    best = pd.read_csv(tmp_path / "studies" / "a" / "trials.csv")
    narrow = ("--set", "space.x.high=0.5")
    result = hpo(*NINE, "--study", "b", "--from", "a", "--top", "9", *narrow)
    assert result.exit_code == 0, result.output
    by_path = hpo(*NINE, "--study", "c", "--from", tmp_path / "studies" / "a", "--top", "9", *narrow)
    assert by_path.exit_code == 0, by_path.output
    fitting = best[best["x"] <= 0.5]
    assert 0 < len(fitting) < 9
    assert list(table(tmp_path / "studies" / "b")["x"][: len(fitting)]) == list(fitting["x"])
    for number in best[best["x"] > 0.5]["trial"]:
        assert f"trial {number} of study 'a' is left out: x: " in result.output


def test_from_with_freeze_thaw_learns_from_a_study_and_with_another_backend_it_says_that_nothing_is_learnt(
    hpo: Hpo, tmp_path: Path
) -> None:
    assert hpo(*NINE, "--study", "a").exit_code == 0
    learning = ("search", "--space", "toy.yaml", "--backend", "freeze_thaw", "--runner", "inline", "--epochs", "30")
    narrow = ("--set", "space.x.high=0.5")
    result = hpo(*learning, "--study", "b", "--from", "a", *narrow)
    assert result.exit_code == 0, result.output
    xs = pd.read_csv(tmp_path / "studies" / "a" / "trials.csv")["x"]
    assert f"{(xs > 0.5).sum()} of 9 trials of study 'a' do not lie in this space and are left out" in result.output
    taken = table(tmp_path / "studies" / "b")["x"][2]
    assert taken in set(xs)
    assert (tmp_path / "studies" / "b" / "earlier.json.gz").exists()
    assert hpo("resume", "b", "--epochs", "40").exit_code == 0
    for words, message in (
        (("--study", "a"), "study 'a' cannot be informed by itself"),
        (("--study", "c", "--set", "objective=val_error"), "minimises val_loss, but this search minimises val_error"),
        (("--study", "c", "--set", "space.x.low=0.99", "--set", "space.x.high=1"), "see the values of x"),
    ):
        result = hpo(*learning, "--from", "a", *words)
        assert result.exit_code == 2
        assert message in result.output
    assert not (tmp_path / "studies" / "c").exists()
    result = hpo(*SEARCH, "--study", "d", "--from", "a")
    assert result.exit_code == 0
    assert "the backend random tries the best of study 'a' first, and learns nothing else from it" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--try", "x=2"), "--try x=2: x: 2 is not in the range {low: 0.0, high: 1.0}; the nearest is 1.0"),
        (("--try", "kynd=a"), "unknown hyperparameter 'kynd'; did you mean 'kind'?"),
        (("--try", "x=1,x=0"), "write it as name=value,name=value, each name once, or name a CSV file"),
        (("--try", "x=.inf"), "--try x=.inf: x: must be finite, but is inf"),
        (("--try", "x={a: 1}"), "--try x={a: 1}: x: must be a single value, but is {a: 1}"),
        (("--try", "kind=caf\udce9"), r"--try kind=caf\xe9: kind: 'caf\xe9' is not in the choices"),
        (("--try", "x="), "write it as name=value"),
        (("--try", "none.csv"), "none.csv: cannot be read: "),
        (("--try", "toy.yaml"), "toy.yaml: no column is a hyperparameter of the space"),
        (("--try", "bad.csv"), "bad.csv:3: x: 5 is not in the range"),
        (("--from", "nosuch"), "no study 'nosuch' in "),
        (("--top", "3"), "--top: belongs to --from STUDY"),
    ],
)
def test_a_wrong_first_configuration_is_one_error_and_begins_nothing(
    hpo: Hpo, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "bad.csv").write_text("x,kind\n0.5,a\n5,b\n")
    result = hpo(*SEARCH, *words)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "studies").exists()
