"""The ledger's file: a journal that Optuna's JournalStorage, and so its dashboard, can read.

Optuna's own file backend locks, opens, syncs and closes the file for each operation. A study has one
writer, so this one keeps the file open and syncs it at most once a second, and when it is closed. A
killed process loses nothing by that: what was written survives it; syncing is for power cuts. An event
that comes a second or more after the last is on the disk before the backend hears of it. A line is
written in one call; a last line torn by a crash is cut off when the file is next opened for writing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from hpo.errors import MachineError

SYNC_SECONDS = 1.0
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Journal(BaseJournalBackend):
    """One journal file; at most one process may hold it with `write`."""

    def __init__(self, path: Path, *, write: bool) -> None:
        self._path = path
        self._writes = write
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
        self._fd = os.open(path, flags, 0o644)
        self._synced = time.monotonic()
        self._next = 0
        self._offset = 0
        if write:
            self._cut_torn_line()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add operations, one line each; all of them are written, or none."""
        data = b"".join(_encode(log).encode() + b"\n" for log in logs)
        size = os.fstat(self._fd).st_size
        try:
            written = 0
            while written < len(data):
                written += os.write(self._fd, data[written:])
            now = time.monotonic()
            if now - self._synced > SYNC_SECONDS:
                os.fsync(self._fd)
                self._synced = now
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """The operations from a number on, as far as they are written whole."""
        if log_number_from != self._next:
            self._next = self._offset = 0
        skip = log_number_from - self._next
        logs = []
        for line in self._whole_lines():
            self._offset += len(line)
            self._next += 1
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

    def _whole_lines(self) -> list[bytes]:
        size = os.fstat(self._fd).st_size - self._offset
        data = os.pread(self._fd, size, self._offset) if size > 0 else b""
        return [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            log = json.loads(line)
        except ValueError:
            log = None
        if not isinstance(log, dict):
            raise MachineError(f"{self._path}:{self._next}: this line of the ledger is damaged")
        return log

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._fd).st_size
        end, step = size, 65536
        while end > 0:
            start = max(0, end - step)
            newline = os.pread(self._fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._fd, end)
