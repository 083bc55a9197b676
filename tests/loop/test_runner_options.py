"""The options of a runner: they are checked before anything is written, recorded, and used again by a resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import MachineError, UserError
from hpo.loop import begin, resume
from hpo.loop.runner_options import build_runner
from hpo.record import STUDY_FILE, Budget, StudyFolder
from hpo.runners import inline
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from tests import toy
from tests.loop.searching import INLINE

HERE = "tests.loop.test_runner_options"
WITH_OPTION = replace(INLINE, backend="random", runner=HERE, runner_options={"color": "red"})
built: list[dict[str, Any]] = []


def build(job: Job, checkpoints: Path, *, devices: str, slots: int | None, color: str = "green", n: int = 1) -> Runner:
    """A runner of a third party with options."""
    built.append({"color": color, "n": n})
    return inline.build(job, checkpoints, devices=devices, slots=slots)


def check_options(**options: object) -> None:
    if options.get("color") == "black":
        raise UserError("option color of the runner must be a color")


@pytest.fixture(autouse=True)
def _forget() -> None:
    built.clear()


def test_options_reach_the_runner_are_recorded_and_used_by_a_resume(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    begin(folder, toy.space(high=2), WITH_OPTION, Budget(trials=1))
    assert StudyFolder.reopen(folder).settings.runner_options == {"color": "red"}
    resume(folder, Budget(trials=2))
    resume(folder, Budget(trials=3), settings={"runner_options": {"n": 2}})
    assert built == [{"color": "red", "n": 1}, {"color": "red", "n": 1}, {"color": "red", "n": 2}]


def test_another_runner_does_not_get_the_options_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    begin(folder, toy.space(high=2), WITH_OPTION, Budget(trials=1))
    resume(folder, Budget(trials=2), settings={"runner": "inline"})
    assert StudyFolder.reopen(folder).settings.runner_options == {}


@pytest.mark.parametrize(
    ("runner", "options", "message"),
    [
        ("inline", {"n": 2}, r"unknown option of the runner inline: 'n' \(allowed: none\)"),
        (HERE, {"checkpoint_url": "/x"}, r"unknown option of the runner .*: 'checkpoint_url' \(allowed: color, n\)"),
        (HERE, {"colour": "red"}, r"'colour'; did you mean 'color'\? \(allowed: color, n\)"),
        (HERE, {"slots": 2}, r"unknown option of the runner .*: 'slots'"),
        (HERE, {"color": "black"}, "option color of the runner must be a color"),
        ("ray", {"adress": "auto"}, r"'adress'; did you mean 'address'\?"),
        ("ray", {"resources": "gpu"}, r"write name=number .* such as gpu=0\.5,cpu=2"),
    ],
)
def test_a_wrong_option_is_an_error_before_anything_is_written(
    tmp_path: Path, runner: str, options: dict[str, Any], message: str
) -> None:
    settings = replace(INLINE, runner=runner, runner_options=options)
    with pytest.raises(UserError, match=message):
        begin(tmp_path / "s", toy.space(high=2), settings, Budget(trials=1))
    assert list(tmp_path.iterdir()) == []


UNREACHABLE = "ftp://127.0.0.1:1/x"
"""A URL where nobody listens."""


def test_checkpoints_that_cannot_be_written_leave_no_study_of_a_new_search(tmp_path: Path) -> None:
    settings = replace(INLINE, runner="ray", runner_options={"checkpoint_url": UNREACHABLE})
    with pytest.raises(MachineError, match=r"this machine cannot write there: .*refused$"):
        begin(tmp_path / "s", toy.space(high=2), settings, Budget(trials=1))
    assert not (tmp_path / "s" / STUDY_FILE).exists()


def test_a_study_whose_checkpoints_cannot_be_written_any_more_names_the_way_on(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    begin(folder, toy.space(high=2), INLINE, Budget(trials=1))
    settings = {"runner": "ray", "runner_options": {"checkpoint_url": UNREACHABLE}}
    with pytest.raises(MachineError, match=r"refused; go on with `hpo resume s --checkpoints URL --studies .*`"):
        resume(folder, Budget(trials=2), settings=settings)
    assert len(StudyFolder.reopen(folder).history()[0].trials) == 1


def test_a_value_that_yaml_cannot_hold_is_an_error() -> None:
    with pytest.raises(UserError, match="runner_options: color must be a plain value"):
        replace(INLINE, runner_options={"color": object()})  # type: ignore[dict-item]


def test_a_runner_is_built_with_its_timeout_and_options(tmp_path: Path) -> None:
    runner = build_runner(replace(INLINE, report_timeout=5), Job(toy.space(), 0, tmp_path), tmp_path / "c", None)
    assert isinstance(runner, inline.Inline)
