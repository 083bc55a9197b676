from __future__ import annotations

import math
from pathlib import Path

from hpo.record import Budget, Decisions, Event, Retry, Settings, State, StudyFolder
from hpo.trial import Crash, Decision, Report, Suggestion
from tests import toy

INLINE = Settings(runner="inline", devices="cpu", seed=3)


def test_events_keep_their_order_and_their_values_through_the_ledger(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, toy.space(), INLINE, Budget())
    events: list[Event] = [
        Suggestion(0, {"kind": "a", "x": 0.1, "y": 1e-3}, 3, 1, {"model_based_pick": True}),
        Suggestion(1, {"kind": "b", "x": 1 / 3}, 3),
        Report(1, 1, math.inf, {"val_loss": math.nan, "extra": -math.inf}, 0.25, True),
        Report(0, 1, 0.1 + 0.2, {"val_loss": 0.1 + 0.2}, 0.25),
        Decisions(0, 1, {0: Decision.STOP}),
        Suggestion(2, {"kind": "b", "x": 0.0}, 3),
        Crash(2, "ValueError", "line\nline"),
        Retry((2,)),
    ]
    ledger = study.begin()
    for event in events:
        if isinstance(event, Suggestion):
            ledger.suggest(event)
        elif isinstance(event, Decisions):
            ledger.settle(events[3], event.decisions)  # type: ignore[arg-type]
        elif isinstance(event, Retry):
            ledger.retry(event)
        else:
            ledger.record(event)
    ledger.close()
    again = study.ledger(write=False)
    assert repr(again.history.events) == repr(events)
    assert [trial.state for trial in again.history.trials.values()] == [State.STOPPED, State.COMPLETE, State.CRASHED]
    again.close()
