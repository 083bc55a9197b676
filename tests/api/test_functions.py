"""The functions of the Python API."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import hpo
from hpo import spacefile
from hpo.errors import StudyError, TooManyCrashes, UserError
from hpo.loop import Session, begin
from hpo.record import Budget, Settings
from tests import toy
from tests.api import user_code

SPACE = {"space": {"x": {"low": 0.0, "high": 1.0}}, "fidelity": {"high": 9}}


def test_a_search_returns_a_study_with_its_table_best_first(tmp_path: Path) -> None:
    study = hpo.search(SPACE, toy.build, backend="bohb", epochs=60, studies=tmp_path, devices="cpu")
    table = study.table()
    assert isinstance(table, pd.DataFrame)
    assert table["epochs"].sum() == 60
    assert list(table["loss"]) == sorted(table["loss"])
    assert {"trial", "state", "x", "val_loss", "stopping_epoch"} <= set(table.columns)


def test_a_search_without_a_backend_is_by_freeze_thaw(tmp_path: Path) -> None:
    how: dict[str, Any] = {"epochs": 60, "devices": "cpu"}
    default = hpo.search(SPACE, toy.build, studies=tmp_path / "a", **how)
    assert default.name == "space-freeze_thaw-0"
    named = hpo.search(SPACE, toy.build, backend="freeze_thaw", studies=tmp_path / "b", **how)
    measured = ["seconds", "peak_host_gib"]
    pd.testing.assert_frame_equal(default.table().drop(columns=measured), named.table().drop(columns=measured))


def test_a_script_that_is_run_again_trains_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_TOY_LOG", str(tmp_path / "trained.log"))
    space: dict[str, Any] = {**SPACE, "fidelity": {"high": 3}}
    first = hpo.search(space, toy.build, backend="random", trials=3, studies=tmp_path, devices="cpu").table()
    again = hpo.search(space, toy.build, backend="random", trials=3, studies=tmp_path, devices="cpu").table()
    pd.testing.assert_frame_equal(first, again)
    assert len((tmp_path / "trained.log").read_text().splitlines()) == 9
    with pytest.raises(StudyError, match="another space"):
        hpo.search({**space, "fidelity": {"high": 4}}, toy.build, backend="random", studies=tmp_path)


def test_a_study_whose_space_breaks_a_newer_rule_goes_on_but_a_new_one_is_refused(tmp_path: Path) -> None:
    never_active = {"low": 0.0, "high": 1.0, "when": {"kind": ["b"], "x": [1.0]}}
    x = {"choices": [0.0, 1.0], "when": {"kind": ["a"]}}
    space = {"space": {"kind": {"choices": ["a", "b"]}, "x": x, "y": never_active}, "fidelity": {"high": 2}}
    session = Session(lambda config: toy.Curve({"x": 0.5}))
    settings = Settings(backend="random", runner="inline", devices="cpu")
    old = spacefile.parse(space, name="space", is_new=False)
    begin(tmp_path / "old", old, settings, Budget(trials=2), session=session)
    for given in (space, old):
        how: dict[str, Any] = {"backend": "random", "devices": "cpu", "studies": tmp_path, "trials": 3}
        assert len(hpo.search(given, session.trainable, study="old", **how).table()) == 3
        with pytest.raises(UserError, match="is never active"):
            hpo.search(given, session.trainable, study="new", **how)
    assert not (tmp_path / "new").exists()


def test_the_notices_of_the_training_code_are_printed_unless_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def noting(config: Mapping[str, Any]) -> toy.Curve:
        logging.getLogger("trainables").warning("`weights`: some.pth: the prefix is removed")
        return toy.Curve(config)

    words: dict[str, Any] = {"backend": "random", "studies": tmp_path, "devices": "cpu"}
    study = hpo.search(SPACE, noting, trials=2, **words)
    assert capsys.readouterr().err == "`weights`: some.pth: the prefix is removed\n"
    assert "`weights`: some.pth: the prefix is removed" in repr(study)
    study.resume(trials=3, quiet=True)
    assert capsys.readouterr().err == ""


def test_a_search_that_nothing_is_to_train_for_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing says what to train"):
        hpo.search(SPACE, studies=tmp_path)
    with pytest.raises(UserError, match=r"unknown argument of hpo\.search 'bakend'; did you mean 'backend'\?"):
        hpo.search(SPACE, toy.build, studies=tmp_path, bakend="bohb")
    with pytest.raises(UserError, match="must be a class or a function, but is 5"):
        hpo.search(SPACE, 5, studies=tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_study_whose_trainable_changed_is_refused_and_a_free_name_is_given(tmp_path: Path) -> None:
    first = hpo.search(SPACE, user_code.Parabola, backend="random", trials=2, studies=tmp_path, devices="cpu")
    before = first.table()
    (tmp_path / f"{first.name}-2").mkdir()
    for call in (hpo.search, lambda *a, **k: hpo.open_study(first.path, trainable=user_code.steeper).resume(trials=4)):
        with pytest.raises(StudyError, match=f"other training code.*'{first.name}-3'"):
            call(SPACE, user_code.steeper, backend="random", trials=4, studies=tmp_path, devices="cpu")
    pd.testing.assert_frame_equal(first.table(), before)
    named = hpo.search(
        SPACE, user_code.steeper, backend="random", trials=2, studies=tmp_path, devices="cpu", study=f"{first.name}-3"
    )
    assert named.best.loss != first.best.loss


@pytest.mark.parametrize("runner", ["inline", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_mistake_of_the_trainable_is_one_line_and_leaves_no_study(tmp_path: Path, runner: str) -> None:
    for code, told in user_code.WRONG:
        with pytest.raises(UserError) as raised:
            hpo.search(SPACE, code, backend="random", trials=4, studies=tmp_path / "s", runner=runner, devices="cpu")
        assert told in str(raised.value)
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "s").exists()


def test_what_cannot_be_sent_to_a_worker_is_said_before_any_trial(tmp_path: Path) -> None:
    code = user_code.holding_a_lock()
    with pytest.raises(
        UserError, match=r"cannot be sent to worker processes: cannot pickle .*lock.*; .*runner='inline'"
    ):
        hpo.search(SPACE, code, backend="random", trials=2, studies=tmp_path / "s", runner="processes", devices="cpu")
    assert not (tmp_path / "s").exists()
    assert len(hpo.search(SPACE, code, backend="random", trials=2, studies=tmp_path / "s", devices="cpu").table()) == 2


def test_studies_are_listed_by_name_and_opened_by_name_or_path(tmp_path: Path) -> None:
    assert hpo.list_studies(tmp_path / "none") == []
    for name in ("b", "a"):
        hpo.search(SPACE, toy.build, backend="random", trials=1, studies=tmp_path, devices="cpu", study=name)
    assert [study.name for study in hpo.list_studies(tmp_path)] == ["a", "b"]
    assert hpo.open_study("a", studies=tmp_path).path == hpo.open_study(tmp_path / "a").path == tmp_path / "a"
    with pytest.raises(StudyError, match=r"no study 'ab' in .*did you mean"):
        hpo.open_study("ab", studies=tmp_path)
    with pytest.raises(StudyError, match=r"the name of the study is empty \(allowed: a, b\)"):
        hpo.open_study("", studies=tmp_path)
    with pytest.raises(StudyError, match=r"is a folder of studies, not a study; name one of them \(allowed: a, b\)"):
        hpo.open_study(tmp_path)


def test_a_space_is_read_by_name_with_its_overrides(tmp_path: Path) -> None:
    space = hpo.read_space("digits_cnn", ["fidelity.high=9"])
    assert space.fidelity == hpo.Fidelity(9)
    assert hpo.read_space(space) is space
    assert hpo.read_space(space.to_dict()) == space
    with pytest.raises(UserError, match="no bundled space"):
        hpo.read_space("digits_cn")


def test_a_space_in_code_is_checked_against_what_its_task_reads(tmp_path: Path) -> None:
    task = hpo.Task(regime="from_scratch", model="softmax_regression", dataset="digits")  # type: ignore[arg-type]
    space = hpo.SearchSpace("s", {"momentm": hpo.Float(0.0, 0.9)}, hpo.Fidelity(9), task, {"optimiser": "sgd"})
    with pytest.raises(UserError, match=r"space.momentm: .*did you mean 'momentum'.*\nfixed.optimiser: .*'optimizer'"):
        hpo.search(space, studies=tmp_path)
    assert not list(tmp_path.iterdir())


def failing(config: Mapping[str, Any]) -> user_code.Parabola:
    raise KeyError("lrr")


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_a_search_that_crashed_before_its_first_epoch_begins_anew_with_the_mended_code(
    tmp_path: Path, storage: str | None
) -> None:
    how: dict[str, Any] = {"backend": "random", "trials": 2, "studies": tmp_path, "devices": "cpu"}
    if storage is not None:
        how["storage"] = f"sqlite:///{tmp_path}/s.db"
    with pytest.raises(TooManyCrashes, match="lrr") as caught:
        hpo.search(SPACE, failing, **how)
    assert ".resume(retry_crashed=True)` in Python tries crashed trials again" in str(caught.value)
    assert "hpo resume" not in str(caught.value)
    assert list(hpo.search(SPACE, user_code.Parabola, **how).table()["epochs"]) == [9, 9]


def test_a_wrong_metric_leaves_no_study_in_a_storage_either(tmp_path: Path) -> None:
    how: dict[str, Any] = {"backend": "random", "trials": 2, "studies": tmp_path, "devices": "cpu"}
    how["storage"] = f"sqlite:///{tmp_path}/s.db"
    with pytest.raises(UserError):
        hpo.search(SPACE, user_code.accuracies, **how)
    assert list(hpo.search(SPACE, user_code.Parabola, **how).table()["epochs"]) == [9, 9]


def test_a_search_with_less_than_the_study_has_spent_returns_the_study(tmp_path: Path) -> None:
    how: dict[str, Any] = {"backend": "random", "studies": tmp_path, "devices": "cpu"}
    table = hpo.search(SPACE, user_code.Parabola, trials=2, **how).resume(trials=4).table()
    pd.testing.assert_frame_equal(hpo.search(SPACE, user_code.Parabola, trials=2, **how).table(), table)


def test_a_name_cannot_lead_out_of_the_folder_of_the_studies(tmp_path: Path) -> None:
    space = hpo.SearchSpace("../up", {"x": hpo.Float(0.0, 1.0)}, hpo.Fidelity(1))
    how: dict[str, Any] = {"backend": "random", "trials": 1, "studies": tmp_path / "studies", "devices": "cpu"}
    study = hpo.search(space, user_code.Parabola, **how)
    assert study.path == tmp_path / "studies" / "up-random-0"
    (tmp_path / "up").mkdir()
    (study.path / "study.yaml").rename(tmp_path / "up" / "study.yaml")
    for name in ("../up", "", ".", ".."):
        with pytest.raises(StudyError, match=r"no study|is empty|is a folder of studies"):
            hpo.open_study(name, studies=tmp_path / "studies")


def test_a_study_is_found_after_a_change_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = hpo.search(SPACE, user_code.Parabola, backend="random", trials=1, devices="cpu")
    monkeypatch.chdir("/")
    assert len(study.resume(trials=2).table()) == 2


def test_a_search_that_another_one_has_begun_in_the_storage_leaves_it_alone(tmp_path: Path) -> None:
    how: dict[str, Any] = {"backend": "random", "trials": 2, "devices": "cpu", "storage": f"sqlite:///{tmp_path}/s.db"}
    tables: list[str] = []

    def meanwhile(config: Mapping[str, Any]) -> user_code.Parabola:
        if not tables:
            with pytest.raises(StudyError, match="holds a study"):
                hpo.search(SPACE, meanwhile, studies=tmp_path / "other", **how)
            tables.append("refused")
        return user_code.Parabola(config)

    assert len(hpo.search(SPACE, meanwhile, studies=tmp_path / "one", **how).table()) == 2
    assert tables == ["refused"]


def test_overrides_are_for_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="overrides change the keys of a space file"):
        hpo.read_space(hpo.read_space("digits_cnn"), ["fidelity.high=9"])


def test_a_study_is_tested_by_name_with_its_own_code(tmp_path: Path) -> None:
    study = hpo.search(SPACE, user_code.Parabola, backend="random", trials=1, studies=tmp_path, devices="cpu")
    with pytest.raises(StudyError, match="training code of its own"):
        hpo.test(study.name, studies=tmp_path)
    with pytest.raises(UserError, match="knows of no held-out data"):
        hpo.test(study.name, studies=tmp_path, trainable=user_code.Parabola)


def test_a_budget_below_one_round_is_said_on_stderr_unless_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how: dict[str, Any] = {"backend": "bohb", "trials": 1, "studies": tmp_path, "devices": "cpu"}
    hpo.search(SPACE, user_code.Parabola, **how)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("hpo: bohb compares trials at epochs 1 to 9.")
    hpo.search(SPACE, user_code.Parabola, study="quiet", quiet=True, **how)
    assert capsys.readouterr().err == ""


class Interrupted(user_code.Parabola):
    """Ctrl-C comes in its third epoch, as long as `comes` is true."""

    comes = True

    def step(self) -> Mapping[str, float]:
        if self.epoch == 2 and self.comes:
            raise KeyboardInterrupt
        return super().step()


def build_interrupted(config: Mapping[str, Any]) -> Interrupted:
    return Interrupted(config)


def test_after_ctrl_c_a_note_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {"backend": "random", "trials": 1, "studies": tmp_path, "devices": "cpu"}
    note = "hpo: interrupted; nothing is lost. Make the same call again to continue\n"
    calls: list[Any] = [
        lambda **more: hpo.search(SPACE, build_interrupted, **how, **more),
        lambda **more: hpo.open_study("space-random-0", studies=tmp_path, trainable=build_interrupted).resume(**more),
    ]
    for call in calls:
        for quiet, said in ((False, note), (True, "")):
            with pytest.raises(KeyboardInterrupt) as raised:
                call(quiet=quiet)
            assert len(raised.traceback) <= 4  # this test, the call, and the wrapper that shortens the traceback
            assert capsys.readouterr().err == said
    monkeypatch.setattr(Interrupted, "comes", False)
    assert list(hpo.search(SPACE, build_interrupted, **how).table()["epochs"]) == [9]


def test_after_ctrl_c_before_the_search_has_begun_a_note_says_to_call_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupted").mkdir()
    (tmp_path / "interrupted" / "backend.py").write_text("def build(space, *, seed):\n    raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        hpo.search(SPACE, user_code.Parabola, backend="interrupted.backend", studies=tmp_path / "studies")
    assert capsys.readouterr().err == "hpo: interrupted before the search began; make the same call again\n"


class SpaceOfASlowDisk(dict[str, object]):
    """Ctrl-C comes while it is read."""

    def get(self, key: str, default: object = None) -> object:
        raise KeyboardInterrupt


def test_after_ctrl_c_while_the_space_is_read_the_note_is_printed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        hpo.search(SpaceOfASlowDisk(SPACE), user_code.Parabola, studies=tmp_path)
    assert capsys.readouterr().err == "hpo: interrupted before the search began; make the same call again\n"
