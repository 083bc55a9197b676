"""The Journal, the file of the ledger. Optuna's JournalStorage and its dashboard can read it.

Optuna's own file backend locks, opens, syncs and closes the file for each operation, which is slow. A study has only
one writer, so the Journal keeps the file open. It syncs the file at most once a second, and when it is closed.

A killed process loses nothing, because written data survives its process. Only a power failure can lose data that is
not synced. An event that comes more than a second after the last sync is on the disk before the backend is told of it.

Optuna's storage copies all attributes and intermediate values of a trial for each new one. The storage here does not.
So an epoch of a long trial costs no more than one of a short trial. It also lets the writer of a long study forget what
finished trials hold, which the history holds too, and it shares equal distributions.

Each operation is one line. If a crash leaves an incomplete last line, it is cut off when the file is next opened for
writing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Container, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import MachineError

SYNC_SECONDS = 1.0
"""The shortest time between two syncs."""
BLOCK = 1 << 20
"""The default number of bytes that are read at once."""
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Journal(BaseJournalBackend):
    """One journal file. At most one process may open it with `write`."""

    def __init__(self, path: Path, *, write: bool, block: int = BLOCK) -> None:
        """`block` is the number of bytes that are read at once."""
        self._path = path
        self._block = block
        self._writes = write
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
        self._fd = os.open(path, flags, 0o644)
        self._last_sync = time.monotonic()
        self._n_read = 0
        self._offset = 0
        """The length of the lines that have been read, in bytes."""
        if write:
            self._cut_incomplete_line()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations, one line each. If the disk fails, none of them is left in the file."""
        data = b"".join(_encode(log).encode() + b"\n" for log in logs)
        size = os.fstat(self._fd).st_size
        try:
            written = 0
            while written < len(data):
                written += os.write(self._fd, data[written:])
            now = time.monotonic()
            if now - self._last_sync > SYNC_SECONDS:
                os.fsync(self._fd)
                self._last_sync = now
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the operations from number `log_number_from` on. An incomplete last line is left out.

        A long file is read in blocks, and is never in memory as a whole. Raises a MachineError if a line is damaged.
        """
        if log_number_from != self._n_read:
            self._n_read = self._offset = 0
        while lines := self._next_lines():
            for line, log in zip(lines, _parsed(lines), strict=True):
                self._offset += len(line)
                self._n_read += 1
                if self._n_read > log_number_from:
                    yield self._parse(line) if log is None else log

    def close(self) -> None:
        """Sync and close the file."""
        if self._fd >= 0:
            if self._writes:
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _next_lines(self) -> list[bytes]:
        """The next complete lines after those that have been read, about a block of them. Empty if there are none."""
        left = os.fstat(self._fd).st_size - self._offset
        size = min(left, self._block)
        data = os.pread(self._fd, size, self._offset) if size > 0 else b""
        while b"\n" not in data and size < left:  # a line that is longer than a block
            size = min(left, 2 * size)
            data = os.pread(self._fd, size, self._offset)
        return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            log = json.loads(line)
        except ValueError:
            log = None
        if not isinstance(log, dict):
            raise MachineError(f"{self._path}:{self._n_read}: this line of the ledger is damaged")
        return log

    def _cut_incomplete_line(self) -> None:
        """Cut off everything after the last newline. The file is searched backwards, block by block."""
        size = os.fstat(self._fd).st_size
        end, block_size = size, 65536
        while end > 0:
            start = max(0, end - block_size)
            newline = os.pread(self._fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._fd, end)


def _parsed(lines: list[bytes]) -> list[dict[str, Any] | None]:
    """The operations of lines. None for each if one of them is damaged.

    Lines that are parsed together share the text of equal keys, which takes less memory.
    """
    try:
        logs = json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        return [None] * len(lines)
    is_sound = len(logs) == len(lines) and all(isinstance(log, dict) for log in logs)
    return logs if is_sound else [None] * len(lines)


@dataclass(slots=True)
class FinishedTrial:
    """What is left in memory of a finished trial: what tells that it cannot be changed."""

    number: int
    state: TrialState


class JournalTrials(JournalStorageReplayResult):
    """The studies and trials of a journal, in memory.

    A trial that was read by somebody never changes, as in Optuna. Its first change afterwards copies it, and the
    further ones change this copy.
    """

    def __init__(self, worker_id_prefix: str) -> None:
        super().__init__(worker_id_prefix)
        self._unread: set[int] = set()
        """The ids of the trials that were copied since trials were last read."""
        self._distributions: dict[str, BaseDistribution] = {}
        """The different distributions of the trials, by their text. A search has one for each hyperparameter."""

    def forget(self, trial_id: int) -> None:
        """Free what a finished trial holds. The trial can no longer be read or changed here."""
        trial = self._trials[trial_id]
        self._trials[trial_id] = FinishedTrial(trial.number, trial.state)  # type: ignore[assignment]
        self._unread.discard(trial_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        self._unread.discard(trial_id)
        return super().get_trial(trial_id)

    def get_all_trials(self, study_id: int, states: Container[TrialState] | None) -> list[FrozenTrial]:
        self._unread.clear()
        return super().get_all_trials(study_id, states)

    def _apply_create_trial(self, log: dict[str, Any]) -> None:
        trial_id = len(self._trials)
        super()._apply_create_trial({**log, "distributions": {}, "params": {}})
        if (trial := self._trials.get(trial_id)) is not None:
            texts = log.get("distributions", {})
            trial.distributions = {name: self._distribution(text) for name, text in texts.items()}
            internal = log.get("params", {}).items()
            trial.params = {name: trial.distributions[name].to_external_repr(value) for name, value in internal}

    def _distribution(self, text: str) -> BaseDistribution:
        """The distribution of a text, one for all trials. To parse a text takes longer than all else of a trial."""
        if text not in self._distributions:
            self._distributions[text] = json_to_distribution(text)
        return self._distributions[text]

    def _apply_set_trial_user_attr(self, log: dict[str, Any]) -> None:
        if self._trial_exists_and_updatable(log["trial_id"], log):
            self._changeable(log["trial_id"]).user_attrs.update(log["user_attr"])

    def _apply_set_trial_intermediate_value(self, log: dict[str, Any]) -> None:
        if self._trial_exists_and_updatable(log["trial_id"], log):
            self._changeable(log["trial_id"]).intermediate_values[log["step"]] = log["intermediate_value"]

    def _changeable(self, trial_id: int) -> FrozenTrial:
        """A trial that nobody has read."""
        if trial_id not in self._unread:
            trial = copy(self._trials[trial_id])
            trial.user_attrs, trial.intermediate_values = dict(trial.user_attrs), dict(trial.intermediate_values)
            self._trials[trial_id] = trial
            self._unread.add(trial_id)
        return self._trials[trial_id]


class FastJournalStorage(JournalStorage):
    """Optuna's storage of a journal, with `JournalTrials`."""

    def forget(self, trial_id: int) -> None:
        """Free what a finished trial holds in memory. The trial can no longer be read or changed here."""
        assert isinstance(self._replay_result, JournalTrials)
        with self._thread_lock:
            self._replay_result.forget(trial_id)

    def _sync_with_backend(self) -> None:
        if not isinstance(self._replay_result, JournalTrials):  # Optuna's constructor creates one of its own
            self._replay_result = JournalTrials(self._worker_id_prefix)
        super()._sync_with_backend()
