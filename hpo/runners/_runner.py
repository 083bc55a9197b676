"""The Runner protocol: what every runner offers.

A runner trains trials. It does not decide which trials train, write the record or know the backend.

To add a runner, write a module with one function:

    build(job: Job, checkpoints: Path, *, devices: str, slots: int | None) -> Runner

`job` holds the search space, the seed, the folder of the data sets and the user's own training code, if there is any.
`checkpoints` is the folder of the checkpoints. `devices` and `slots` are the settings of the study; `hpo.devices` reads
them. If the study has a `report_timeout`, it is given as another keyword: after so many seconds without a report, a
trial has hung. If it has `curves`, their source is given as another keyword too. If it has `devices_per_trial` above 1,
this is given too: so many devices train each trial together. Without this keyword, such a study is an error. A `build`
with a keyword `notify` gets a function that shows a line to the user, or None. A line that says what the slots are may
be in the attribute `summary` of the runner.

Other keywords of `build` are options of the runner, which `--runner-option NAME=VALUE` sets. They have defaults, take a
text or a number, and are recorded in the study. A function `check_options(**options)` of the module may raise a
UserError for a wrong value, before anything is written. If it has a keyword `devices`, it gets this setting too.
`FLAGS = {"address": "--ray-address"}` says which options have a flag of the command line.

The module is a file in this folder, a module that is registered under the entry point group `hpo.runners`, or any
module named `package.module`.

`hpo.training.worker.Worker` trains a trial epoch by epoch and writes its checkpoints. `inline.py` is the shortest
example.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

from hpo import cache
from hpo.training import out_of_memory
from hpo.training.builder import Job
from hpo.training.checkpoints import discard, discard_all_but_best
from hpo.training.prediction_files import PredictionFiles
from hpo.trial import Crash, Decision, Report, Suggestion

HUNG = "Hung"
"""The `kind` of the Crash of a trial that has sent no report for too long."""
MAX_DEATHS = 2
"""A trial crashes if its workers die this many times without a new epoch in between."""


class Runner(Protocol):
    """Trains trials on its slots and returns an event for each epoch.

    The search loop repeats three steps: it calls `start` while `free` is above 0, then `events`, then `settle` for each
    event.
    """

    def free(self) -> int:
        """Return the number of free slots: how many suggestions could be started now."""
        ...

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        """Start to train a trial up to epoch `suggestion.until` on a free slot. Does not wait for the training.

        Args:
            suggestion: the trial, which is new, or was paused or interrupted. A trial that is not new continues from
                its checkpoint. If the checkpoint is missing or damaged, it trains again from epoch 1.
            after: the last epoch of the trial that is on record, 0 if none is. The first report is that of epoch
                `after + 1`. If the checkpoint already contains this epoch, it is reported without being trained again.
        """
        ...

    def events(self) -> Iterable[Report | Crash]:
        """Wait for an event, and return all events since the last call. Empty if there was none for a short time.

        A runner should return within about a second, so that the budget of time can end the search. If it waits for
        longer, such as for an epoch in this process, the search loop interrupts it by an exception when the time is up.

        A trial that runs out of memory is tried again as `hpo.training.out_of_memory.next_attempt` says, without an
        event. If it is not to be, the event is what `out_of_memory.final` returns.

        After an event, a trial waits until `settle` is called for it. An exception in the training becomes a Crash.

        A MachineError, such as a full disk, and a TaskError, such as missing data, are raised, because they are not the
        fault of the trial. Raises an HpoError if no trial is running.
        """
        ...

    def settle(self, trial: int, decision: Decision) -> None:
        """Apply the backend's decision to a trial.

        The search loop calls this once for the trial of each event, and also for paused trials that the backend stops.

        - CONTINUE: the trial trains its next epoch. If it has reached `until`, has reported `last=True` or has crashed,
          it frees its slot instead.
        - PAUSE: the trial frees its slot and keeps its checkpoint.
        - STOP: the trial frees its slot if it has one, and its checkpoints are deleted.

        A finished trial keeps only the checkpoint of its best epoch. A crashed trial keeps no checkpoint and no
        predictions. `discard_unneeded` deletes what a trial no longer needs.
        """
        ...

    def close(self) -> None:
        """End all workers. Running trials keep their checkpoints, so that they can continue in a later run."""
        ...


@runtime_checkable
class SimulatesTime(Runner, Protocol):
    """A runner whose time is simulated. This is optional. The time of the search is then that of the runner."""

    @property
    def now(self) -> float:
        """The simulated time of the search so far, in seconds. It never falls."""
        ...

    def restore(self, events: Iterable[object], running: Collection[int]) -> None:
        """Set the time to that at the end of a record, before the first `start`.

        `events` are those of the record, and `running` the trials that were training at its end.
        """
        ...

    def events_until(self, seconds: float | None) -> Iterable[Report | Crash]:
        """Return the next events, as `events` does. None of them may come later than `seconds` of simulated time.

        If all come later, it returns none, and the simulated time is `seconds` then. None is no limit.
        """
        ...


def goes_on(suggestion: Suggestion, event: Report | Crash | None, decision: Decision) -> bool:
    """Whether a trial trains another epoch after its last `event` and the decision on this event."""
    if decision is not Decision.CONTINUE or isinstance(event, Crash):
        return False
    return event is None or not (event.last or event.fidelity >= suggestion.until)


def discard_unneeded(checkpoints: Path, job: Job, trial: int, event: Report | Crash | None, decision: Decision) -> None:
    """Delete the checkpoints and predictions that a trial no longer needs after `decision`.

    If the trial was stopped or crashed, all its checkpoints are deleted. If it is finished, all but that of its best
    epoch. Only a crashed trial loses its predictions; one that does not go on needs only the best logits. `event` is
    the event that the decision is about, or None if the trial was paused before.
    """
    is_complete = isinstance(event, Report) and (event.last or event.fidelity >= job.space.fidelity.high)
    if job.predictions is not None:
        predictions = PredictionFiles(job.predictions)
        if isinstance(event, Crash):
            predictions.discard(trial)
        elif is_complete or decision is not Decision.CONTINUE:
            predictions.finish(trial, event.fidelity if isinstance(event, Report) else None)
    if decision is Decision.STOP or isinstance(event, Crash):
        discard(checkpoints, trial)
    elif is_complete:
        discard_all_but_best(checkpoints, trial)


def crash(trial: int, error: Exception) -> Crash:
    """Return the Crash of a trial for an exception. Its text is the message, then the end of the traceback."""
    text = "".join(traceback.format_exception(error))
    return Crash(trial, out_of_memory.kind_of(error), f"{error}\n{text[-4000:]}")


def worker_died(trial: int, after: int, status: int | None) -> Crash:
    """Return the Crash of a trial whose workers died `MAX_DEATHS` times after epoch `after`, the last with `status`."""
    error = f"its worker died {MAX_DEATHS} times after epoch {after}, at last with exit status {status}"
    return Crash(trial, "WorkerDied", error)


def is_preparing(report_timeout: float | None) -> bool:
    """Whether data are prepared, so that the time now does not count for `report_timeout`.

    All workers may wait for the data. None is no limit, so nothing counts, and the answer is False.
    """
    return report_timeout is not None and bool(cache.in_progress())


def has_hung(since: float, report_timeout: float | None) -> bool:
    """Whether there was no report for too long.

    `since` is the value of `time.monotonic` when the waiting began, or when the last preparation of data ended.
    """
    return report_timeout is not None and time.monotonic() - since > report_timeout


def hung(trial: int, after: int, report_timeout: float) -> Crash:
    """Return the Crash of a trial that has sent no report since epoch `after`."""
    return Crash(trial, HUNG, f"it sent no report for {report_timeout:g} seconds after epoch {after}")
