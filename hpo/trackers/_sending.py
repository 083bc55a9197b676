"""Sends a whole study to a tracker, from its record. `hpo track` does this."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from hpo.errors import HpoError, MachineError
from hpo.record import StudyFolder, is_locked, shown_state
from hpo.trackers._lock import tracker_lock
from hpo.trackers._target import Target
from hpo.trackers._tracker import TrackedStudy, tracked_study, tracked_trial

LONGEST = 120
"""The longest message of an error that is shown as a whole, in characters."""


LOCK_SECONDS = 0.5
"""How long `send_all` waits for another process that sends the same trials."""


@dataclass(frozen=True)
class Sent:
    """What a tracker has."""

    n_trials: int
    place: str | None
    """Where the user finds the trials. None if the tracker does not say it."""


def send_all(study: StudyFolder, target: Target, watch: Callable[[int], None] | None = None) -> Sent:
    """Bring a tracker up to date with all trials on record.

    `watch` is called with the number of trials that are sent so far. What the tracker has already is not sent again.
    Raises a StudyError if another process is sending them, and a MachineError if the tracker fails: then the same call
    goes on later.
    """
    tracked = tracked_study(study)
    try:
        with tracker_lock(study.folder, target.kind, LOCK_SECONDS):
            history, finished = study.history()
            closed, searching = finished is not None, is_locked(study.folder)
            tracker = target.build(tracked)
            try:
                for n_sent, trial in enumerate(history.trials.values(), start=1):
                    state = shown_state(trial, closed=closed, searching=searching)
                    tracker.update(tracked_trial(study.space, trial, state))
                    if watch is not None:
                        watch(n_sent)
            finally:
                tracker.close()
    except HpoError:
        raise
    except Exception as error:
        raise MachineError(f"{_named(target, tracked)}: {one_line(error)}; the same command goes on") from error
    return Sent(len(history.trials), target.place(tracked))


def _named(target: Target, study: TrackedStudy) -> str:
    """A tracker and where it sends to, if it says so."""
    place = None
    with contextlib.suppress(Exception):  # it may fail as the tracker did
        place = target.place(study)
    return f"tracker {target.kind}" if place is None else f"tracker {target.kind} ({place})"


def one_line(error: BaseException) -> str:
    """An error as one line of at most LONGEST characters: the first line of its message.

    If it is longer, it is that of its first cause. If this is too long too, its first sentence, cut at its end.
    """
    cause = error
    while (earlier := cause.__cause__ or cause.__context__) is not None:
        cause = earlier
    texts = [_first_line(error), _first_line(cause)]
    text = next((text for text in texts if len(text) <= LONGEST), texts[-1].partition(". ")[0])
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
