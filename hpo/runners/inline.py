"""The inline runner: trains one trial at a time, in the process that searches.

It is the simplest runner. Its events always come in the same order, so a resumed study gets exactly the events of an
uninterrupted one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, chdir
from pathlib import Path

from hpo.alarm import interrupted_after
from hpo.devices import main_device
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners._runner import crash, discard_unneeded, goes_on, hung, is_preparing
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.out_of_memory import Attempt, final, next_attempt
from hpo.training.random_states import unchanged_random_states
from hpo.training.worker import Worker
from hpo.trial import Crash, Decision, Report, Suggestion


def build(
    job: Job, checkpoints: Path, *, devices: str = "auto", slots: int | None = None, report_timeout: float | None = None
) -> Inline:
    """Build a runner with one slot, on the first of `devices`. `slots` is ignored."""
    del slots
    prepare(checkpoints)
    return Inline(job, checkpoints, main_device(devices), report_timeout)


class _Hung(BaseException):
    """A trial has sent no report for too long. It is no Exception, so that training code does not catch it."""


class Inline:
    """Trains one epoch for each call of `events`."""

    def __init__(self, job: Job, checkpoints: Path, device: str, report_timeout: float | None = None) -> None:
        """`report_timeout` is the longest time without a report, in seconds. See `interrupted_after` for its limits."""
        self._report_timeout = report_timeout
        self._after = 0
        self._worker = Worker(job, checkpoints, device)
        self._job = job
        self._attempt = Attempt()
        self._restore = ExitStack()  # what training may change in the user's process
        self._restore.enter_context(unchanged_random_states())
        self._restore.enter_context(chdir(os.getcwd()))
        self._checkpoints = checkpoints
        self._suggestion: Suggestion | None = None
        self._epochs: Iterator[Report] = iter(())
        self._event: Report | Crash | None = None

    def free(self) -> int:
        return int(self._suggestion is None)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        self._suggestion, self._after, self._attempt = suggestion, after, Attempt()
        self._epochs = self._worker.train(suggestion, after=after)

    def events(self) -> Iterable[Report | Crash]:
        if self._suggestion is None:
            raise HpoError("no trial is running, so nothing can happen")
        try:
            with interrupted_after(timeout := self._report_timeout, _Hung, unless=lambda: is_preparing(timeout)):
                self._event = next(self._epochs)
            self._after = self._event.fidelity
        except _Hung:
            self._event = hung(self._suggestion.trial, self._after, self._report_timeout or 0)
        except (MachineError, TaskError):
            raise
        except Exception as error:
            self._event = crash(self._suggestion.trial, error)
        if isinstance(self._event, Crash):
            attempt = next_attempt({**self._job.space.fixed, **self._suggestion.config}, self._attempt, self._event)
            if attempt is not None:
                self._try_again(self._suggestion, attempt)
                return []
            self._event = final(self._attempt, self._event)
        return [self._event]

    def _try_again(self, suggestion: Suggestion, attempt: Attempt) -> None:
        """Train a trial again that ran out of memory, from its last checkpoint, after all memory was freed."""
        self._event, self._epochs, self._attempt = None, iter(()), attempt
        self._worker.forget()
        self._epochs = self._worker.train(suggestion, after=self._after, micro_batches=attempt.micro_batches)

    def settle(self, trial: int, decision: Decision) -> None:
        running = self._suggestion
        if running is None or running.trial != trial:
            discard_unneeded(self._checkpoints, self._job, trial, None, decision)
        elif not goes_on(running, self._event, decision):
            discard_unneeded(self._checkpoints, self._job, trial, self._event, decision)
            self._suggestion, self._event, self._epochs = None, None, iter(())

    def close(self) -> None:
        self._suggestion, self._event, self._epochs = None, None, iter(())
        self._restore.close()
