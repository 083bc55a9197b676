"""The Journal, the file of the ledger. Optuna's JournalStorage and its dashboard can read it.

Optuna's own file backend locks, opens, syncs and closes the file for each operation, which is slow. A study has only
one writer, so the Journal keeps the file open. It syncs the file at most once a second, and when it is closed.

A killed process loses nothing, because written data survives its process. Only a power failure can lose data that is
not synced. An event that comes more than a second after the last sync is on the disk before the backend is told of it.

Optuna's storage copies all attributes and intermediate values of a trial for each new one. The storage here does not.
So an epoch of a long trial costs no more than one of a short trial.

Each operation is one line. If a crash leaves an incomplete last line, it is cut off when the file is next opened for
writing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Container, Iterable
from copy import copy
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import MachineError

SYNC_SECONDS = 1.0
"""The shortest time between two syncs."""
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Journal(BaseJournalBackend):
    """One journal file. At most one process may open it with `write`."""

    def __init__(self, path: Path, *, write: bool) -> None:
        self._path = path
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

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the operations from number `log_number_from` on. An incomplete last line is left out.

        Raises a MachineError if a line is damaged.
        """
        if log_number_from != self._n_read:
            self._n_read = self._offset = 0
        skip = log_number_from - self._n_read
        logs = []
        for line in self._complete_lines():
            self._offset += len(line)
            self._n_read += 1
            if skip:
                skip -= 1
            else:
                logs.append(self._parse(line))
        return logs

    def close(self) -> None:
        """Sync and close the file."""
        if self._fd >= 0:
            if self._writes:
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _complete_lines(self) -> list[bytes]:
        """The lines after those that have been read."""
        size = os.fstat(self._fd).st_size - self._offset
        data = os.pread(self._fd, size, self._offset) if size > 0 else b""
        return [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]

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


class JournalTrials(JournalStorageReplayResult):
    """The studies and trials of a journal, in memory.

    A trial that was read by somebody never changes, as in Optuna. Its first change afterwards copies it, and the
    further ones change this copy.
    """

    def __init__(self, worker_id_prefix: str) -> None:
        super().__init__(worker_id_prefix)
        self._unread: set[int] = set()
        """The ids of the trials that were copied since trials were last read."""

    def get_trial(self, trial_id: int) -> FrozenTrial:
        self._unread.discard(trial_id)
        return super().get_trial(trial_id)

    def get_all_trials(self, study_id: int, states: Container[TrialState] | None) -> list[FrozenTrial]:
        self._unread.clear()
        return super().get_all_trials(study_id, states)

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

    def _sync_with_backend(self) -> None:
        if not isinstance(self._replay_result, JournalTrials):  # Optuna's constructor creates one of its own
            self._replay_result = JournalTrials(self._worker_id_prefix)
        super()._sync_with_backend()
