"""Targets: what may stand after --track and --to."""

from __future__ import annotations

import pytest

from hpo.errors import UserError
from hpo.trackers import Target, check

WRONG = {
    "tensorbord": "unknown tracker 'tensorbord'; did you mean 'tensorboard'? (allowed: mlflow, tensorboard, wandb)",
    "mlflow=": "tracker mlflow=: nothing stands after the =; write mlflow, or mlflow=WHERE",
    "mlflow=http://me:secret@host:5000": "the URL holds a password",
    "": "unknown tracker ''",
    "tests.trackers.needy_tracker": "needs no_such_package, which is not installed",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_target_is_one_line_without_a_password(text: str) -> None:
    with pytest.raises(UserError) as raised:
        check(text)
    assert WRONG[text] in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("tensorboard", Target("tensorboard")),
        ("mlflow=http://127.0.0.1:5000", Target("mlflow", "http://127.0.0.1:5000")),
        ("tests.trackers.file_tracker=a=b", Target("tests.trackers.file_tracker", "a=b")),
    ],
)
def test_a_target_is_a_tracker_and_where_it_sends_to(text: str, target: Target) -> None:
    assert check(text) == target
    assert str(target) == text
