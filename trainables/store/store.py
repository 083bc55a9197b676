"""The Store: arrays on disk that are computed once and shared by all trials of all studies.

An entry is found by its key, which holds everything that the content depends on. If it is missing, one process computes
it while other processes that need it wait. It is written to a temporary file that is then renamed, so an entry is never
incomplete. Checksums are verified when an entry is opened, and a damaged entry is deleted and computed again. Entries
are memory-mapped, so all workers of a machine share one copy in memory. If the store would exceed its limit, the least
recently used entries are deleted.

The folder is $HPO_CACHE, by default ~/.cache/hpo/store. $HPO_CACHE_GB is the limit in GiB. With `HPO_CACHE=off`,
nothing is stored. Nothing here needs torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from trainables.store.progress_files import ProgressFile, read_json, remove_old_notes, waiting
from trainables.threads import n_cores

VERSION = 1
"""The version of the file format. Entries of another version are not read."""
DEFAULT_GB = 32.0
"""The default limit of the store, in GiB."""
SPARE_BYTES = 2**30
"""The space that the store leaves free on its disk."""
BLOCK_BYTES = 2**24
"""The number of bytes that one checksum covers."""
OFF = ("off", "no", "none", "false", "0")
"""The values of $HPO_CACHE that turn the store off."""

Bytes = NDArray[np.uint8]
"""The content of an entry, (n_bytes,). Callers view it as the type and shape that they need."""
Advance = Callable[[float], None]
"""Reports the progress of a computation. It is called with the share that is done, 0 to 1."""
Fill = Callable[[Bytes, Advance], Mapping[str, Any] | None]
"""Computes an entry: writes its content into the given bytes. It may return notes, a mapping that JSON can hold, which
are stored with the entry."""


@dataclass(frozen=True)
class Entry:
    """The description of an entry in the store."""

    name: str
    words: str
    """A description of the content, for users."""
    n_bytes: int
    used: float
    """The time when it was last opened, in seconds since 1970."""


@dataclass(frozen=True, eq=False)
class OpenedEntry:
    """An entry that was opened and verified."""

    content: Bytes
    """Memory-mapped, copy-on-write: changes stay in this process and are not stored."""
    notes: dict[str, Any]
    """What the Fill of the entry returned."""


class _FillFailed(Exception):
    """Wraps an error of a Fill, to tell it from an error of the store itself."""

    def __init__(self, error: Exception) -> None:
        self.error = error


_open_contents: WeakValueDictionary[tuple[str, int, int, int], Bytes] = WeakValueDictionary()
"""The verified contents that this process has open. The key is the path, inode, size and time of the file."""


class Store:
    """A folder of entries."""

    def __init__(self, folder: Path, limit_bytes: float) -> None:
        """`limit_bytes` is the largest total size of the entries."""
        self.folder = folder
        self.limit_bytes = limit_bytes

    def get(self, kind: str, key: Sequence[object], n_bytes: int, words: str, fill: Fill) -> OpenedEntry | None:
        """Return the entry with the content that `key` determines. If it is missing, `fill` computes it.

        `kind` is the beginning of the entry's name, such as "features". `n_bytes` is the size of the content. `words`
        describes the content to users.

        Returns None if there is no room for the entry or if the disk fails, and prints the reason to stderr. The caller
        then computes the content in memory. If `fill` raises, the error is passed on and no entry is stored.
        """
        name = f"{kind}-{_hash((VERSION, *key))}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            opened = self._open(name, n_bytes)
            if opened is not None:
                return opened
            with self._lock(name):
                # Another process may have computed it while this one waited for the lock.
                opened = self._open(name, n_bytes)
                if opened is None:
                    self._discard_damaged(name)
                if opened is None and self.has_room(n_bytes):
                    self._make_room(n_bytes)
                    self._build(name, n_bytes, words, fill)
                    opened = self._open(name, n_bytes)
            problem = "there is no room for it" if opened is None else ""
        except _FillFailed as failed:
            raise failed.error from failed.error.__cause__
        except (OSError, NotImplementedError) as error:
            opened, problem = None, getattr(error, "strerror", None) or str(error)
        if problem:
            _warn(f"the store {self.folder} cannot keep {words} ({problem}): they stay in memory")
        return opened

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Hold the lock of an entry. A note says so while this process waits for another one that holds it."""
        lock = FileLock(self.folder / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except TimeoutError:
            with waiting(self.folder / f"{name}.progress"):
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def has_room(self, n_bytes: int) -> bool:
        """Return whether an entry of `n_bytes` would fit into the store, if other entries are deleted for it."""
        with contextlib.suppress(OSError):
            folder = next(path for path in (self.folder, *self.folder.parents) if path.exists())
            if not os.access(folder, os.W_OK) or not folder.is_dir():
                return False
            reusable = sum(entry.n_bytes for entry in self.entries())
            return n_bytes <= min(self.limit_bytes, shutil.disk_usage(folder).free + reusable - SPARE_BYTES)
        return False

    def entries(self) -> list[Entry]:
        """Return all entries, the most recently used first."""
        entries = []
        for path in self.folder.glob("*.json"):
            header, data = read_json(path), path.with_suffix(".bin")
            with contextlib.suppress(OSError):  # another process may delete the entry meanwhile
                entries.append(Entry(path.stem, header.get("words", "?"), data.stat().st_size, path.stat().st_mtime))
        return sorted(entries, key=lambda entry: -entry.used)

    def remove(self, name: str) -> None:
        """Delete an entry. Processes that have it open can still use it."""
        for suffix in (".json", ".bin"):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete all entries, and the files of killed computations. Running computations are not disturbed."""
        for entry in self.entries():
            self.remove(entry.name)
        self._sweep()

    def _sweep(self) -> None:
        """Delete the files of computations that were killed: those without a finished entry whose lock is free.

        The lock files stay, because other processes may wait for them.
        """
        for path in [*self.folder.glob("*.tmp"), *self.folder.glob("*.bin"), *self.folder.glob("*.progress")]:
            if not path.with_suffix(".json").exists():
                with contextlib.suppress(TimeoutError), FileLock(path.with_suffix(".lock"), timeout=0):
                    if not path.with_suffix(".json").exists():
                        path.unlink(missing_ok=True)
        remove_old_notes(self.folder)

    def _open(self, name: str, n_bytes: int) -> OpenedEntry | None:
        """Open an entry and verify its checksums. Returns None if it is missing, damaged or of another version."""
        header_path, path = self.folder / f"{name}.json", self.folder / f"{name}.bin"
        if not header_path.exists():
            return None
        header = read_json(header_path)
        with contextlib.suppress(OSError, ValueError, KeyError):
            status = path.stat()
            if header["version"] == VERSION and status.st_size == max(n_bytes, 1):
                key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
                content = _open_contents.get(key)
                if content is None:
                    content = np.memmap(path, dtype=np.uint8, mode="c", shape=(n_bytes,)) if n_bytes else _empty()
                    if _checksums(content) != header["sums"]:
                        raise ValueError("the checksums differ")
                    _open_contents[key] = content
                os.utime(header_path)
                return OpenedEntry(content, header["notes"])
        return None

    def _discard_damaged(self, name: str) -> None:
        """Delete an entry that could not be opened, and say so on stderr.

        The caller must hold the entry's lock, because another process could be computing the entry.
        """
        if (self.folder / f"{name}.json").exists():
            _warn(f"{self.folder / name}.bin is damaged, or of another version: it is computed again")
            self.remove(name)

    def _build(self, name: str, n_bytes: int, words: str, fill: Fill) -> None:
        """Compute and write an entry. The caller must hold its lock."""
        temporary, progress = self.folder / f"{name}.tmp", ProgressFile(self.folder / f"{name}.progress", words)
        try:
            with open(temporary, "wb") as file:
                # If the disk is full, this raises an error. A later write to the memory map would kill the process.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, max(n_bytes, 1))
                else:
                    file.truncate(max(n_bytes, 1))
            content = np.memmap(temporary, dtype=np.uint8, mode="r+", shape=(n_bytes,)) if n_bytes else _empty()
            progress(0.0)
            try:
                notes = fill(content, progress) or {}
            except Exception as error:
                raise _FillFailed(error) from error
            header = {"version": VERSION, "words": words, "notes": dict(notes), "sums": _checksums(content)}
            if isinstance(content, np.memmap):
                content.flush()
            os.replace(temporary, self.folder / f"{name}.bin")
            temporary.write_text(json.dumps(header))
            os.replace(temporary, self.folder / f"{name}.json")
        finally:
            temporary.unlink(missing_ok=True)
            if not (self.folder / f"{name}.json").exists():
                (self.folder / f"{name}.bin").unlink(missing_ok=True)
            progress.end()

    def _make_room(self, n_bytes: int) -> None:
        """Delete the files of killed computations, then the least recently used entries, until `n_bytes` fit."""
        self._sweep()
        entries = self.entries()
        free = shutil.disk_usage(self.folder).free - SPARE_BYTES
        total = sum(entry.n_bytes for entry in entries)
        while entries and (total + n_bytes > self.limit_bytes or n_bytes > free):
            entry = entries.pop()
            self.remove(entry.name)
            total, free = total - entry.n_bytes, free + entry.n_bytes


def shared() -> Store | None:
    """Return the store that the environment variables describe, or None if it is turned off.

    Raises ValueError if HPO_CACHE_GB is not a number of at least 0, or if HPO_CACHE is not a usable folder.
    """
    place = os.environ.get("HPO_CACHE", "")
    if place.lower() in OFF:
        return None
    text = os.environ.get("HPO_CACHE_GB", "") or str(DEFAULT_GB)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not gigabytes >= 0:
        raise ValueError(f"HPO_CACHE_GB must be a number of at least 0, but is {text!r}")
    try:
        folder = Path(place or "~/.cache/hpo/store").expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"HPO_CACHE: {place or 'the default, ~/.cache/hpo/store'}: {error}") from None
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"HPO_CACHE: {folder} is a file, not a folder")
    return Store(folder, gigabytes * 2**30)


def _checksums(content: Bytes) -> list[int]:
    """Return the checksum of each block of a content. Threads use all cores, because zlib releases the GIL."""
    blocks: Iterator[Bytes] = (content[start : start + BLOCK_BYTES] for start in range(0, len(content), BLOCK_BYTES))
    with ThreadPoolExecutor(n_cores()) as pool:
        return list(pool.map(zlib.crc32, blocks))


def _empty() -> Bytes:
    return np.empty(0, dtype=np.uint8)


def _hash(key: Sequence[object]) -> str:
    return blake2b(json.dumps([str(each) for each in key]).encode(), digest_size=16).hexdigest()


def _warn(text: str) -> None:
    print(f"hpo: {text}", file=sys.stderr, flush=True)
