from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpo.record import Budget, StudyFolder
from hpo.record.resuming import how_to_resume
from tests import toy
from tests.loop.searching import INLINE


@pytest.mark.parametrize(
    ("option", "command", "argument"),
    [
        ("", "hpo resume s", ""),
        ("--retry-crashed", "hpo resume s --retry-crashed", "retry_crashed=True"),
        ("--runner processes", "hpo resume s --runner processes", "runner='processes'"),
        ("--checkpoints URL", "hpo resume s --checkpoints URL", "runner_options={'checkpoint_url': 'URL'}"),
    ],
)
def test_a_study_of_code_in_python_goes_on_by_a_call_and_any_other_by_a_command(
    option: str, command: str, argument: str
) -> None:
    folder, settings = Path("studies/s"), replace(INLINE, runner="ray")
    regime = StudyFolder(folder, toy.space(), settings, Budget())
    assert how_to_resume(regime, option) == f"`{command}`"
    own = StudyFolder(folder, toy.space(), settings, Budget(), trainable_digest="0")
    call = f"open_study({str(folder.absolute())!r}, trainable=...).resume({argument})"
    assert how_to_resume(own, option) == f"`{call}` in Python"
