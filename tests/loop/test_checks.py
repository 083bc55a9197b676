from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from hpo.errors import HpoError
from hpo.loop.search import run
from hpo.record import Budget, Settings, StudyFolder
from hpo.trial import Crash, Decision, Report, Scalar, Suggestion
from tests import toy

INLINE = Settings(runner="inline", devices="cpu", seed=3)


class Scripted:
    """A backend that breaks the contract: it leaves a trial waiting at its `until`."""

    def __init__(self, xs: list[float], high: int) -> None:
        self.xs, self.high, self.asked = xs, high, 0

    def ask(self, *, new: bool = True) -> Suggestion | Literal["wait", "done"]:
        if self.asked == len(self.xs):
            return "wait"
        self.asked += 1
        return Suggestion(self.asked - 1, {"kind": "b", "x": self.xs[self.asked - 1]}, until=self.high)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        return {}


class Immediate:
    """A runner whose trials report without being trained."""

    def __init__(self) -> None:
        self.running: dict[int, int] = {}

    def free(self) -> int:
        return 1 - len(self.running)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        self.running[suggestion.trial] = after

    def events(self) -> list[Report | Crash]:
        ((trial, epoch),) = self.running.items()
        self.running[trial] = epoch + 1
        return [Report(trial, epoch + 1, 1 / (epoch + 1), {"val_loss": 1 / (epoch + 1)}, 0.0)]

    def settle(self, trial: int, decision: Decision) -> None:
        if decision is not Decision.CONTINUE or self.running.get(trial) == 9:
            self.running.pop(trial, None)

    def close(self) -> None:
        self.running.clear()


def test_a_backend_that_leaves_a_trial_undecided_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, toy.space(), INLINE, Budget())
    ledger = study.begin()
    with pytest.raises(HpoError, match="decided nothing on trial 0"):
        run(Scripted([0.5], high=3), Immediate(), ledger, Budget())
    ledger.close()


class Meddling(Scripted):
    """Gives away trials, numbers, epochs or values that are not to be had."""

    def __init__(self, suggestions: list[Suggestion], decisions: Mapping[int, Decision]) -> None:
        super().__init__([], 9)
        self.suggestions, self.decisions = suggestions, decisions

    def ask(self, *, new: bool = True) -> Suggestion | Literal["wait", "done"]:
        return self.suggestions.pop(0) if self.suggestions else "done"

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        return self.decisions


CONFIG: dict[str, Scalar] = {"kind": "b", "x": 0.5}


@pytest.mark.parametrize(
    ("suggestions", "decisions", "message"),
    [
        ([Suggestion(1, CONFIG, 9)], {}, "the next number is 0"),
        ([Suggestion(0, CONFIG, 0)], {}, "`until` must lie above epoch 0"),
        ([Suggestion(0, {"kind": "b", "x": 7.0}, 9)], {}, "'x'"),
        ([Suggestion(0, {"kind": "b"}, 9)], {}, "'x' is missing"),
        ([Suggestion(0, CONFIG, 9)], {1: Decision.STOP}, "settled trial 1 on an event of trial 0"),
        ([Suggestion(0, CONFIG, 1), Suggestion(0, CONFIG, 1)], {0: Decision.PAUSE}, "must lie above epoch 1"),
        ([Suggestion(0, CONFIG, 1), Suggestion(0, CONFIG, 3)], {0: Decision.STOP}, "trial 0 is stopped"),
    ],
)
def test_a_backend_that_breaks_the_contract_is_named(
    tmp_path: Path, suggestions: list[Suggestion], decisions: Mapping[int, Decision], message: str
) -> None:
    ledger = StudyFolder(tmp_path, toy.space(), INLINE, Budget()).begin()
    with pytest.raises(HpoError, match=re.escape(message)):
        run(Meddling(list(suggestions), decisions), Immediate(), ledger, Budget())
    ledger.close()


def test_a_backend_that_waits_for_nothing_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, toy.space(), INLINE, Budget())
    ledger = study.begin()
    with pytest.raises(HpoError, match="the backend answered 'wait', but no trial is running"):
        run(Scripted([0.5], high=9), Immediate(), ledger, Budget())
    ledger.close()


@pytest.mark.parametrize(
    ("kind", "said"), [("SetupError", "objective m:f raised no"), ("ValueError", "ValueError: objective m:f raised no")]
)
def test_a_crash_names_its_kind_unless_the_settings_are_at_fault(kind: str, said: str) -> None:
    crash = Crash(3, kind, "objective m:f raised no\nTraceback")
    assert crash.summary == said
