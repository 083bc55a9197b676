"""The trackers of a search: they follow it, and are told of the trials as they are when it ends."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hpo.errors import HpoError
from hpo.loop.session import Notify, Watch
from hpo.record import Decisions, Event, Ledger, State, StudyFolder, command, shown_state
from hpo.trackers import NONE, Follower, check, one_line, tracked_study, tracked_trial
from hpo.trial import Crash, Report, Suggestion

UNFINISHED = (State.RUNNING, State.PAUSED)
SEARCHING = {"closed": False, "searching": True}
ENDED = {True: {"closed": True, "searching": False}, False: {"closed": False, "searching": False}}
"""How the states of trials are shown while a study is searched, and after its search ended or was interrupted."""

SECONDS, SECONDS_AFTER_ERROR = 60.0, 5.0
"""How long the end of a search waits for each tracker, and how long if an error or Ctrl-C ends it."""


@contextmanager
def tracking(study: StudyFolder, ledger: Ledger, watch: Watch | None, notify: Notify | None) -> Iterator[Watch | None]:
    """Start the trackers of a study, and yield what is to be called after each event is recorded: `watch`, and they.

    First they are told of all trials on record, since what an earlier run sent may be incomplete. A tracker that fails
    is named once, and the search goes on without it.
    """
    followers: list[Follower] = []

    def tell(numbers: Iterable[int], **how: bool) -> None:
        for number in numbers if followers else ():
            trial = ledger.history.trials[number]
            version = tracked_trial(study.space, trial, shown_state(trial, **how))
            for follower in followers:
                follower.follow(version)

    def follow(event: Event, ledger: Ledger) -> None:
        if watch is not None:
            watch(event, ledger)
        last = ledger.history.events[-1]
        decided = last.decisions if isinstance(last, Decisions) else ()
        tell({event.trial, *decided} if isinstance(event, Suggestion | Report | Crash) else decided, **SEARCHING)

    ended = False
    try:
        followers.extend(_followers(study, notify))
        tell(ledger.history.trials, **SEARCHING)
        yield follow if followers else watch
        ended = True
    finally:
        tell((trial.number for trial in ledger.history.trials.values() if trial.state in UNFINISHED), **ENDED[ended])
        for follower in followers:
            follower.close(SECONDS if ended else SECONDS_AFTER_ERROR)


def _followers(study: StudyFolder, notify: Notify | None) -> Iterator[Follower]:
    """Start the trackers of a study, each in a process of its own. One that cannot be used is named and left out."""
    show = notify or (lambda _: None)
    without = command("resume", study.folder, f"--track {NONE}")
    for text in study.settings.track:
        again = command("track", study.folder, f"--to {shlex.quote(text)}")
        hint = f"the search does not need it; `{again}` sends what is missing, and `{without}` stops the tracking"
        tracked = tracked_study(study)
        try:
            target = check(text)
            if (place := target.place(tracked)) is not None:
                show(f"tracker {target.kind}: the trials are sent to {place}")
        except Exception as error:  # the module of a tracker may raise any error
            show(f"{error if isinstance(error, HpoError) else f'tracker {text}: {one_line(error)}'}; {hint}")
            continue
        yield Follower(target, tracked, hint, notify)
