from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import StudyError, UserError
from tests.api import user_code

SPACE = hpo.SearchSpace("parabola", {"x": hpo.Float(0.0, 1.0)}, hpo.Fidelity(9))


@pytest.fixture
def study(tmp_path: Path) -> hpo.Study:
    return hpo.search(SPACE, user_code.Parabola, backend="bohb", trials=12, studies=tmp_path, devices="cpu")


def test_the_best_trial_is_the_first_of_the_table(study: hpo.Study) -> None:
    first = study.table().iloc[0]
    best = study.best
    assert (best.trial, best.loss, best.epoch) == (first["trial"], first["loss"], first["stopping_epoch"])
    assert best.config == {"x": first["x"]}
    assert best.metrics == {"val_loss": best.loss}


def test_the_curves_have_a_row_for_each_epoch_of_each_trial(study: hpo.Study) -> None:
    curves = study.curves()
    assert list(curves.columns) == ["trial", "epoch", "val_loss"]
    assert len(curves) == study.table()["epochs"].sum()
    best = curves[curves["trial"] == study.best.trial]
    assert list(best["epoch"]) == list(range(1, len(best) + 1))
    assert best["val_loss"].min() == study.best.loss


def test_a_replay_is_a_table_of_the_study_and_each_seed(study: hpo.Study) -> None:
    frame = study.replay("random", seeds=2)
    assert list(frame.columns[:5]) == ["search", "seed", "epochs_to_best", "epochs_to_5_percent", "best"]
    assert list(frame["search"]) == ["study", "random", "random"]
    assert set(frame["best"]) == {study.best.loss}
    assert frame["epochs"].max() == frame["epochs"][0] == len(study.curves())


def test_a_study_goes_on_with_a_larger_budget_and_shows_what_is_on_record(study: hpo.Study) -> None:
    before = study.table()
    assert study.resume(trials=15) is study
    assert len(study.table()) == 15 > len(before) == 12
    assert study.space == SPACE


def test_a_study_begun_with_a_trainable_needs_it_to_go_on(study: hpo.Study) -> None:
    with pytest.raises(UserError, match=r"was searched with training code of its own: .*hpo\.open_study"):
        hpo.open_study(study.path).resume(trials=15)
    assert len(hpo.open_study(study.path, trainable=user_code.Parabola).resume(trials=15).table()) == 15


def test_a_study_shows_itself_in_a_terminal_and_in_a_notebook(study: hpo.Study) -> None:
    assert f"Study({str(study.path)!r})" in repr(study)
    assert "trials   12:" in repr(study)
    html = study._repr_html_()
    assert html.count("<tr") == 1 + 10
    assert "trials   12:" in html


def test_html_of_a_configuration_is_escaped(tmp_path: Path) -> None:
    space = hpo.SearchSpace(
        "s", {"x": hpo.Float(0.0, 1.0), "kind": hpo.Categorical(("<b>a</b>", "<i>b</i>"))}, hpo.Fidelity(1)
    )
    study = hpo.search(space, user_code.Parabola, backend="random", trials=2, studies=tmp_path, devices="cpu")
    assert "<b>" not in study._repr_html_()
    assert "&lt;" in study._repr_html_()


def test_a_study_without_a_finite_loss_has_no_best_trial(tmp_path: Path) -> None:
    study = hpo.search(SPACE, user_code.Parabola, backend="random", time=1e-9, studies=tmp_path, devices="cpu")
    assert study.table().empty
    assert study.curves().empty
    with pytest.raises(StudyError, match="no trial with a finite loss"):
        _ = study.best
    assert "trials   0" in repr(study)
    assert "<pre>" in study._repr_html_()


def test_a_study_of_a_space_with_a_data_set_is_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = hpo.read_space("digits_softmax", ["fidelity.high=3"])
    study = hpo.search(space, backend="random", trials=3, studies=tmp_path, devices="cpu")
    tested = study.test(top=2, seeds=2)
    assert list(tested["trial"]) == list(study.table()["trial"][:2])
    assert list(tested["seeds"]) == [2, 2]
    assert tested["test_accuracy"].between(0.3, 1.0).all()
    assert (tested["test_accuracy_std"] >= 0).all()
    assert "looked at 4 times" in capsys.readouterr().out
    assert study.table()["test_accuracy"].notna().sum() == 2
    header = (study.path / "trials.csv").read_text().splitlines()[0]
    assert "test_accuracy" in header
    again = hpo.test(study.name, studies=tmp_path, top=1, seeds=2, protocol="retrain", quiet=True)
    assert again["test_accuracy"][again["trial"] == tested["trial"][0]].iloc[0] == tested["test_accuracy"][0]
    assert capsys.readouterr().out == ""


def test_a_trainable_in_place_of_a_regime_is_not_left_out_when_a_study_goes_on(tmp_path: Path) -> None:
    task = hpo.Task(regime="from_scratch", model="softmax_regression", dataset="digits")  # type: ignore[arg-type]
    space = hpo.SearchSpace("s", {"lr": hpo.Float(0.1, 1.0)}, hpo.Fidelity(1), task)
    how: dict[str, Any] = {"backend": "random", "trials": 1, "studies": tmp_path, "devices": "cpu"}
    own = hpo.search(space, user_code.constant, study="own", **how)
    with pytest.raises(StudyError, match="was searched with training code of its own"):
        hpo.open_study(own.path).resume(trials=2)
    by_regime = hpo.search(space, study="regime", **how)
    with pytest.raises(StudyError, match="was searched with the regime of its space"):
        hpo.open_study(by_regime.path, trainable=user_code.constant).resume(trials=2)
    assert len(own.resume(trials=2).table()) == len(by_regime.resume(trials=2).table()) == 2


def test_a_test_with_other_code_than_the_search_is_refused(tmp_path: Path) -> None:
    task = hpo.Task(regime="from_scratch", model="softmax_regression", dataset="digits")  # type: ignore[arg-type]
    how: dict[str, Any] = {"backend": "random", "trials": 1, "studies": tmp_path, "devices": "cpu"}
    space = hpo.SearchSpace("s", {"lr": hpo.Float(0.1, 1.0)}, hpo.Fidelity(1), task)
    own = hpo.search(space, user_code.constant, study="own", **how)
    for code, message in ((None, "of its own"), (user_code.epochs, "with other training code")):
        with pytest.raises(StudyError, match=message):
            hpo.open_study(own.path, trainable=code).test()
    assert not (own.path / "test.json").exists()


def test_a_damaged_study_does_not_hide_the_others_of_a_list(study: hpo.Study) -> None:
    (study.path.parent / "damaged").mkdir()
    (study.path.parent / "damaged" / "study.yaml").write_text("study: [")
    text = repr(hpo.list_studies(study.path.parent))
    assert "is damaged" in text
    assert "Traceback" not in text
    assert study.name in text


def test_ctrl_c_is_told_without_the_lines_of_hpo(tmp_path: Path) -> None:
    def interrupted(config: Mapping[str, Any]) -> user_code.Parabola:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        hpo.search(SPACE, interrupted, backend="random", studies=tmp_path, devices="cpu")
    assert len(raised.traceback) == 2
