"""The runner `ray` in a process of its own, so that the end of a cluster does not end the search.

Ray ends a process that is connected to a cluster, without an exception, if it loses the cluster: at once if Ray is
stopped on this machine, and after a minute without an answer of the head node. It also writes to file 2. So a process
connects to the cluster in place of the search, which calls its methods through a pipe. If that process ends, the search
raises a MachineError, closes the record and says how to go on.

If the caller has connected itself to a cluster already, its connection is used, in its own process (`ray.build`).
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from hpo import cache
from hpo.devices import Slot
from hpo.errors import HpoError, MachineError, TaskError, UserError
from hpo.runners._ray_cluster import CLUSTER_GONE, Say
from hpo.runners._ray_runner import TOKEN
from hpo.runners._runner import Runner
from hpo.runners._worker_process import Process
from hpo.training import slots_file
from hpo.trial import Crash, Decision, Report, Suggestion

ANSWER_SECONDS = 1.0
"""How long `events` waits for an answer. The search can end meanwhile."""
SILENT_SECONDS = 10.0
"""After so many seconds without an answer, the user is told."""
CLOSE_SECONDS = 15.0
"""How long the process may take to end its actors and its connection."""
TOKENS = f".*{TOKEN}"
"""The names of the files by which nodes recognise the folder of the study."""
ERRORS = (TaskError, UserError, MachineError, HpoError)
"""The errors that the process can send, the special ones first."""

OPENED = 0
"""The number of the first answer: the process is connected. Requests are counted from 1."""
Open = Callable[[Say], tuple[Runner, str]]
"""Connects to the cluster. Returns the runner and its summary. It is called in the process, so it can be pickled."""


@dataclass(frozen=True)
class Note:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class Failure:
    """A method has raised an error."""

    number: int
    """The number of the request."""
    kind: int
    """The index of its class in `ERRORS`."""
    text: str
    go_on_with: tuple[str, ...]


@dataclass(frozen=True)
class Returned:
    """A method has returned."""

    number: int
    """The number of the request."""
    value: Any
    free: int
    """The number of free slots now."""


class SeparateRay:
    """A runner whose methods are called in a process that is connected to the cluster."""

    def __init__(self, opened: Open, checkpoints: Path, say: Say) -> None:
        self._opened, self._checkpoints, self._say = opened, checkpoints, say
        self._process: Process | None = None
        self._free = 0
        self._n_requests = 0
        self._answers: dict[int, Returned | Failure] = {}
        """The answers that were received while another one was waited for, by the numbers of their requests."""
        self._pending: int | None = None
        """The number of the request of `events` that has no answer yet. None if there is none."""
        self._asked = 0.0
        """When it was sent, as `time.monotonic`."""
        self._is_silent = False
        """Whether the user was told that the cluster does not answer."""
        self.summary = ""
        """What the slots are, for the user."""

    def open(self) -> None:
        """Start the process, and connect to the cluster. Nothing happens if this was done."""
        if self._process is not None:
            return
        slot = Slot("cpu", 1, cache.search_process())
        self._process = Process(serve, (self._opened,), slot, lambda: None)
        try:
            self.summary = self._answer(OPENED)
        except BaseException:
            self._end()
            raise

    def free(self) -> int:
        return self._free if self._process is not None else 1

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        self.open()
        self._call("start", suggestion, after=after)

    def events(self) -> Iterable[Report | Crash]:
        if self._process is None:
            raise HpoError("no trial is running, so nothing can happen")
        if self._pending is None:
            self._pending = self._send("events")
            self._asked = time.monotonic()
        if self._pending not in self._answers and not self._process.pipe.poll(ANSWER_SECONDS):
            if not self._is_silent and time.monotonic() - self._asked > SILENT_SECONDS:
                self._is_silent = True
                self._say("the Ray cluster does not answer; the search waits for it, for about a minute")
            return []
        number, self._pending = self._pending, None
        events: list[Report | Crash] = self._answer(number)
        self._is_silent = False
        return events

    def settle(self, trial: int, decision: Decision) -> None:
        self.open()
        self._call("settle", trial, decision)

    def close(self) -> None:
        process = self._process
        if process is None:
            return
        deadline = time.monotonic() + (0 if self._is_silent else CLOSE_SECONDS)
        try:
            number = self._send("close")
            while process.pipe.poll(max(0, deadline - time.monotonic())):
                message = process.receive()
                if not isinstance(message, Note) and message.number == number:
                    return
        except Exception:  # an interrupt may have left a part of an answer in the pipe
            return
        finally:
            self._end()

    def _call(self, method: str, *arguments: Any, **keywords: Any) -> None:
        """Call a method in the process, which returns nothing. `events` may still wait for its answer."""
        self._answer(self._send(method, *arguments, **keywords))

    def _send(self, method: str, *arguments: Any, **keywords: Any) -> int:
        """Send a request, and return its number."""
        assert self._process is not None
        self._n_requests += 1
        try:
            self._process.pipe.send((self._n_requests, method, arguments, keywords))
        except OSError:
            raise self._gone() from None
        return self._n_requests

    def _answer(self, number: int) -> Any:
        """Wait for the answer of the request of this number, and return its value. Raises its error.

        The answers of other requests that are received meanwhile are kept.
        """
        assert self._process is not None
        while number not in self._answers:
            try:
                message = self._process.receive()
            except EOFError:
                raise self._gone() from None
            if isinstance(message, Note):
                self._say(message.text)
                continue
            self._answers[message.number] = message
            if isinstance(message, Returned):
                self._free = message.free
        answer = self._answers.pop(number)
        if isinstance(answer, Failure):
            raise ERRORS[answer.kind](answer.text, go_on_with=answer.go_on_with)
        return answer.value

    def _gone(self) -> MachineError:
        """The error of a search whose process has ended."""
        status = self._end()
        if status == -9:
            return MachineError(
                "the process that is connected to the Ray cluster was killed; no recorded epoch is lost",
                go_on_with=("", *CLUSTER_GONE),
            )
        return MachineError(
            "the Ray cluster is gone: Ray was stopped, or its head node does not answer; no recorded epoch is lost",
            go_on_with=CLUSTER_GONE,
        )

    def _end(self) -> int | None:
        """End the process, delete the files that it may have left, and return its exit status."""
        if self._process is None:
            return None
        death = self._process.end()
        self._process, self._pending, self._free = None, None, 0
        self._n_requests, self._answers = OPENED, {}
        slots_file.remove(self._checkpoints)
        for token in self._checkpoints.parent.glob(TOKENS):
            token.unlink(missing_ok=True)
        return death.status


def serve(pipe: connection.Connection, opened: Open, slot: Slot) -> None:
    """The main function of the process: it connects to the cluster, then calls what it is told."""
    _hide_output()
    try:
        runner, summary = opened(lambda text: pipe.send(Note(text)))
    except Exception as error:
        pipe.send(_failure(OPENED, error))
        return
    pipe.send(Returned(OPENED, summary, runner.free()))
    while True:
        try:
            number, method, arguments, keywords = pipe.recv()
        except (EOFError, OSError):
            return  # the search has ended; what follows is done by Ray, which notices the end of this process
        try:
            value = getattr(runner, method)(*arguments, **keywords)
            answer: Returned | Failure = Returned(number, value, runner.free() if method != "close" else 0)
        except Exception as error:
            answer = _failure(number, error)
        pipe.send(answer)
        if method == "close":
            return


def _failure(number: int, error: Exception) -> Failure:
    for kind, each in enumerate(ERRORS):
        if isinstance(error, each):
            return Failure(number, kind, str(error), error.go_on_with)
    text = "".join(traceback.format_exception(error))
    return Failure(
        number, len(ERRORS) - 1, f"the process that is connected to the Ray cluster failed:\n{text}", go_on_with=()
    )


def _hide_output() -> None:
    """Hide what Ray's C++ code writes to files 1 and 2. What the user must know goes through the pipe."""
    null = os.open(os.devnull, os.O_WRONLY)
    for standard_stream in (1, 2):
        os.dup2(null, standard_stream)
    os.close(null)
