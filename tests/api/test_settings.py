"""The settings that the functions of the Python API take."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import UserError
from hpo.record import StudyFolder
from tests.api import user_code

SPACE = {"space": {"x": {"low": 0.0, "high": 1.0}}, "fidelity": {"high": 9}}


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_new_settings_of_a_study_that_goes_on_are_applied_and_kept(tmp_path: Path, trials: int) -> None:
    """Also if the study has spent its budget, or more than that, and so trains nothing."""
    how: dict[str, Any] = {"backend": "random", "studies": tmp_path}
    hpo.search(SPACE, user_code.Parabola, trials=2, devices="cpu", **how)
    data = tmp_path / "data"
    study = hpo.search(SPACE, user_code.Parabola, trials=trials, slots=2, runner="processes", data=data, **how)
    settings = StudyFolder.reopen(study.path).settings
    assert (settings.slots, settings.runner, settings.data) == (2, "processes", str(data))
    assert settings.devices == "cpu"
    assert len(study.table()) == max(2, trials)


def test_a_study_resumes_only_with_settings_that_may_change(tmp_path: Path) -> None:
    how: dict[str, Any] = {"backend": "random", "trials": 1, "studies": tmp_path, "devices": "cpu"}
    study = hpo.search(SPACE, user_code.Parabola, **how)
    before = (study.path / "study.yaml").read_text()
    for wrong, message in (
        ({"seed": 1}, "unknown setting of a study that goes on 'seed'"),
        ({"device": "cpu"}, "did you mean 'devices'"),
        ({"devices": "cuda:99"}, "no 'cuda:99'"),
        ({"runner": "proceses"}, "did you mean 'processes'"),
        ({"slots": 0}, "slots must be at least 1"),
        ({"storage": f"sqlite:///{tmp_path}/none.db"}, "the record of study .* is not here"),
        ({"slots": 2, "trials": 0}, "has spent 1 trials already"),
    ):
        with pytest.raises(UserError, match=message):
            study.resume(**wrong)
    assert (study.path / "study.yaml").read_text() == before


WRONG_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"time": "30m"}, "the budget in seconds must be a number, but is '30m'"),
    ({"trials": "5"}, "the budget in trials must be a whole number, but is '5'"),
    ({"trials": 2.5}, "the budget in trials must be a whole number, but is 2.5"),
    ({"epochs": -1}, "the budget in epochs must be at least 0, but is -1"),
    ({"options": ["sampler=gp"]}, "options must be a dictionary"),
    ({"devices": ["cpu"]}, "devices must be a text such as 'auto'"),
    ({"slots": 0}, "slots must be at least 1, but is 0"),
    ({"seed": -1}, "seed must be at least 0, but is -1"),
    ({"data": 5}, "data must be the path of a folder or None, but is 5"),
    ({"runner": "proceses"}, "did you mean 'processes'"),
    ({"study": "../outside"}, "study '../outside': a name has letters"),
    ({"study": ""}, "study '': a name has letters"),
    ({"options": {"sampler": ["gp"]}}, "options: sampler must be a plain value, but is ['gp']"),
    ({"study": 5}, "study 5: a name has letters"),
    ({"trails": 2}, "did you mean 'trials'"),
    ({"from_study": 3}, "from_study must be the name of a study or the path of its folder, but is 3"),
    ({"from_study": "a", "top": "3"}, "top must be a whole number of at least 1, but is '3'"),
    ({"storage": "nonsense"}, "storage nonsense: not a storage URL"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG_ARGUMENTS, ids=[str(wrong) for wrong, _ in WRONG_ARGUMENTS])
def test_a_wrong_argument_is_a_plain_error_and_writes_nothing(
    tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    how: dict[str, Any] = {"backend": "random", "devices": "cpu", "studies": tmp_path / "s", **wrong}
    with pytest.raises(UserError) as raised:
        hpo.search(SPACE, user_code.Parabola, **how)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_are_plain_numbers(tmp_path: Path) -> None:
    how: dict[str, Any] = {"trials": np.int64(2), "time": np.float64(600), "seed": np.int64(3), "studies": tmp_path}
    how |= {"backend": "optuna", "options": {"sampler": np.str_("random")}, "devices": "cpu"}
    study = hpo.search(SPACE, user_code.Parabola, **how)
    assert len(hpo.open_study(study.path).table()) == 2


@pytest.mark.slow
def test_auto_is_no_other_runner(tmp_path: Path) -> None:
    how: dict[str, Any] = {"backend": "random", "trials": 1, "studies": tmp_path, "devices": "cpu", "runner": "auto"}
    hpo.search("digits_softmax", **how)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hpo.search("digits_softmax", **how)


def test_a_generator_function_is_searched_by_a_backend_that_never_pauses_unless_one_is_given(tmp_path: Path) -> None:
    how: dict[str, Any] = {"studies": tmp_path, "devices": "cpu", "quiet": True, "trials": 1}
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (user_code.epochs, {}, "optuna"),
        (user_code.Parabola, {}, "freeze_thaw"),
        (user_code.epochs, {"backend": "freeze_thaw"}, "freeze_thaw"),
    ]
    for number, (code, given, backend) in enumerate(cases):
        study = hpo.search(SPACE, code, study=f"study-{number}", **how, **given)
        assert StudyFolder.reopen(study.path).settings.backend == backend


@pytest.mark.parametrize("runner", ["inline", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_lambda_that_turns_out_to_be_a_generator_function_needs_a_backend(tmp_path: Path, runner: str) -> None:
    how: dict[str, Any] = {"studies": tmp_path, "devices": "cpu", "quiet": True, "trials": 1, "runner": runner}

    def code(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        return user_code.epochs(config)

    with pytest.raises(UserError, match=r'code returned a generator, .*: search it with backend="optuna"'):
        hpo.search(SPACE, code, **how)
    assert not list(tmp_path.iterdir())
    for backend in ("optuna", "freeze_thaw"):
        assert len(hpo.search(SPACE, code, backend=backend, **how).resume(trials=2).table()) == 2


def test_a_lambda_that_turns_out_to_be_a_generator_function_needs_a_backend_also_after_ctrl_c(tmp_path: Path) -> None:
    how: dict[str, Any] = {"studies": tmp_path / "studies", "devices": "cpu", "quiet": True, "trials": 1}
    interrupt = tmp_path / "interrupt"
    interrupt.touch()

    def code(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        if interrupt.exists():
            raise KeyboardInterrupt
        return user_code.epochs(config)

    settings: list[dict[str, Any]] = [{}, {"backend": "freeze_thaw", "seed": 1}]
    for given in settings:
        with pytest.raises(KeyboardInterrupt):
            hpo.search(SPACE, code, **how, **given)
    interrupt.unlink()
    assert len(hpo.list_studies(tmp_path / "studies")) == 2
    with pytest.raises(UserError, match=r'code returned a generator, .*: search it with backend="optuna"'):
        hpo.search(SPACE, code, **how)
    assert len(hpo.search(SPACE, code, backend="freeze_thaw", seed=1, **how).table()) == 1


def test_a_search_learns_from_an_earlier_study_and_goes_on_when_that_is_gone(tmp_path: Path) -> None:
    how: dict[str, Any] = {"studies": tmp_path, "devices": "cpu", "quiet": True}
    first = hpo.search(SPACE, user_code.Parabola, backend="random", trials=6, study="first", **how)
    learning = how | {"backend": "freeze_thaw", "study": "second", "from_study": first.path}
    hpo.search(SPACE, user_code.Parabola, time=1e-9, seed=1, **learning)  # another search, which is empty
    second = hpo.search(SPACE, user_code.Parabola, epochs=25, **learning)
    source = StudyFolder.reopen(second.path).settings.from_study
    assert source is not None
    assert (source.study, source.learns) == ("first", True)
    shutil.rmtree(first.path)
    again = hpo.search(SPACE, user_code.Parabola, epochs=40, **learning)
    assert again.table()["epochs"].sum() == 40
    with pytest.raises(UserError, match="no study 'first'"):
        hpo.search(SPACE, user_code.Parabola, epochs=25, **(learning | {"study": "third"}))
    with pytest.raises(UserError, match="with another earlier study"):
        hpo.search(SPACE, user_code.Parabola, epochs=40, **(learning | {"from_study": None}))
    with pytest.raises(UserError, match="top: belongs to from_study"):
        hpo.search(SPACE, user_code.Parabola, epochs=40, top=3, **how)


@pytest.mark.parametrize("backend", ["random", "freeze_thaw"])
def test_the_same_call_goes_on_with_what_was_taken_from_an_earlier_study(tmp_path: Path, backend: str) -> None:
    """Also if the earlier study went on or is gone. Another one of its name, `top` or `try_first` is another search."""
    how: dict[str, Any] = {"devices": "cpu", "quiet": True}
    source: dict[str, Any] = {**how, "backend": "random", "study": "first"}
    first = hpo.search(SPACE, user_code.Parabola, trials=3, studies=tmp_path, **source)
    other = hpo.search(SPACE, user_code.Parabola, trials=3, seed=1, studies=tmp_path / "others", **source)
    call = {**how, "backend": backend, "study": "s", "studies": tmp_path, "from_study": "first", "top": 2}
    call["try_first"] = [{"x": 0.125}]
    xs = hpo.search(SPACE, user_code.Parabola, trials=3, **call).table().set_index("trial")["x"]
    assert [xs[0], xs[1], xs[2]] == [0.125, *first.table()["x"][:2]]
    for changed, message in (
        ({"from_study": other.path}, "with another earlier study"),
        ({"top": 3}, "with another `top` of its earlier study"),
        ({"top": None}, "with another `top` of its earlier study"),
        ({"try_first": []}, "with other first configurations"),
        ({"try_first": [{"x": 0.125}, {"x": 0.25}]}, "with other first configurations"),
    ):
        with pytest.raises(UserError, match=message):
            hpo.search(SPACE, user_code.Parabola, trials=4, **(call | changed))
    hpo.search(SPACE, user_code.Parabola, trials=6, studies=tmp_path, **source)
    assert len(hpo.search(SPACE, user_code.Parabola, trials=4, **call).table()) == 4
    shutil.rmtree(first.path)
    again = hpo.search(SPACE, user_code.Parabola, trials=5, **call).table().set_index("trial")["x"]
    assert list(again.sort_index()[:3]) == [xs[0], xs[1], xs[2]]
    assert len(again) == 5


def test_curves_may_be_a_function_of_a_module(tmp_path: Path) -> None:
    study = hpo.search(SPACE, curves=user_code.line, backend="random", trials=2, studies=tmp_path, quiet=True)
    assert StudyFolder.reopen(study.path).settings.curves == "tests.api.user_code:line"
    with pytest.raises(UserError, match="<lambda>: must be a function at the top level of a module"):
        hpo.search(SPACE, curves=lambda config, epoch: {"val_loss": 0.0}, trials=2, studies=tmp_path)


def test_the_same_call_goes_on_with_the_same_curves_and_others_are_another_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "curves.csv"
    table.write_text("x," + ",".join(f"epoch_{epoch}" for epoch in range(1, 10)) + "\n0.5,9,8,7,6,5,4,3,2,1\n")
    call: dict[str, Any] = {"backend": "random", "study": "s", "studies": tmp_path, "curves": table}
    assert len(hpo.search(SPACE, trials=2, **call).table()) == 2
    study = hpo.search(SPACE, trials=3, **(call | {"curves": "curves.csv", "runner": "simulated"}))
    assert list(study.table()["loss"]) == [1.0] * 3
    table.write_text(table.read_text().replace(",1\n", ",0\n"))
    with pytest.raises(UserError, match="with other curves"):
        hpo.search(SPACE, trials=4, **call)
    with pytest.raises(UserError, match="curves in only one of the two"):
        hpo.search(SPACE, user_code.Parabola, trials=4, **(call | {"curves": None}))
