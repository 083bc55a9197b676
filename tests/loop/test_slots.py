"""The number of slots of a study: given, measured, or the default of the runner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.loop import Session, begin, resume
from hpo.loop.slots import slots_per_device
from hpo.record import Budget, Settings, StudyFolder
from hpo.training.builder import Job
from tests import toy
from tests.loop.searching import INLINE, check_sound, history


@pytest.mark.slow
def test_slots_are_measured_when_a_study_begins_and_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings("random", runner="processes", devices="cpu", slots="auto")
    begin(tmp_path / "s", toy.space(high=3), settings, Budget(trials=1), session=Session(notify=said.append))
    resume(tmp_path / "s", Budget(trials=2), session=Session(notify=said.append))
    assert StudyFolder.reopen(tmp_path / "s").settings.slots == "auto"
    check_sound(history(tmp_path / "s"))
    lines = [line for line in said if "limited by" in line]
    assert len(lines) == 2
    assert lines[0].startswith("a trial with regime=tests.toy needs ")


@pytest.mark.parametrize(
    ("slots", "runner", "expected"),
    [(3, "processes", 3), (None, "processes", None), ("auto", "inline", None), ("auto", "fused", None)],
)
def test_slots_that_are_given_or_the_default_of_the_runner_are_not_measured(
    slots: int | str | None, runner: str, expected: int | None, tmp_path: Path
) -> None:
    settings = replace(INLINE, slots=slots, runner=runner)
    said: list[str] = []
    assert slots_per_device(Job(toy.space(), 0, tmp_path), settings, said.append) == expected
    no_memory = f"slots auto: no memory is measured for the runner {runner}, which takes its default"
    assert said == ([no_memory] if slots == "auto" else [])


@pytest.mark.parametrize("slots", ["many", "", "2"])
def test_another_word_than_auto_is_an_error(slots: str) -> None:
    with pytest.raises(UserError, match=f"^slots must be a whole number of at least 1, or 'auto', but is '{slots}'$"):
        replace(INLINE, slots=slots)
