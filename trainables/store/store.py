"""The store: arrays on disk that are computed once, for all trials of all studies.

An entry is computed by one process while others that ask for it wait; it is written under a temporary name
and renamed, so it is there whole or not at all. It is found by its key, which names all that it depends on,
and checked by its checksums when it is opened: what is damaged is thrown away and computed again. Entries
are memory-mapped, so all workers of a machine share one copy in memory. The least recently used ones make
room where the store grows beyond its limit.

The folder is $HPO_CACHE, or ~/.cache/hpo/store; `HPO_CACHE=off` keeps nothing on disk. $HPO_CACHE_GB limits it.
Nothing here needs torch.
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

from trainables.store.progress import ProgressFile, read_json
from trainables.threads import n_cores

VERSION = 1
"""Of the files' form. Entries of another version are not read."""
DEFAULT_GB = 32.0
SPARE_BYTES = 2**30
"""What the store leaves free on its disk."""
BLOCK_BYTES = 2**24
"""A checksum is over so many bytes."""
OFF = ("off", "no", "none", "false", "0")

Bytes = NDArray[np.uint8]
Advance = Callable[[float], None]
"""Called with the share, 0 to 1, that is computed."""
Fill = Callable[[Bytes, Advance], Mapping[str, Any] | None]
"""Computes an entry into the bytes it is given; may return notes, of plain values, to be kept with it."""


@dataclass(frozen=True)
class Entry:
    """An entry that is there."""

    name: str
    words: str
    """What it holds, for people."""
    n_bytes: int
    used: float
    """When it was last opened, in seconds since the epoch."""


@dataclass(frozen=True, eq=False)
class Found:
    """The content of an entry."""

    content: Bytes
    """Memory-mapped; what is written to it stays in this process."""
    notes: dict[str, Any]


class _FillFailed(Exception):
    """The computation of an entry failed, not the store."""

    def __init__(self, error: Exception) -> None:
        self.error = error


_open: WeakValueDictionary[tuple[str, int, int, int], Bytes] = WeakValueDictionary()
"""The contents that this process has open, checked, by the place, inode, size and time of their files."""


class Store:
    """The entries in one folder."""

    def __init__(self, folder: Path, limit_bytes: float) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def get(self, kind: str, key: Sequence[object], n_bytes: int, words: str, fill: Fill) -> Found | None:
        """The entry of `kind` for `key`, of `n_bytes`; computed by `fill` where it is not there.

        None where there is no room for it, or the disk fails: a line on stderr says so, and the caller computes
        what it needs in memory. Errors of `fill` are passed on, and leave nothing behind.
        """
        name = f"{kind}-{_hashed((VERSION, *key))}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = self._opened(name, n_bytes)
            if found is not None:
                return found
            with FileLock(self.folder / f"{name}.lock"):
                found = self._opened(name, n_bytes)
                if found is None:
                    self._discard_damaged(name)
                if found is None and self.has_room(n_bytes):
                    self._make_room(n_bytes)
                    self._build(name, n_bytes, words, fill)
                    found = self._opened(name, n_bytes)
            problem = "there is no room for it" if found is None else ""
        except _FillFailed as failed:
            raise failed.error from failed.error.__cause__
        except (OSError, NotImplementedError) as error:
            found, problem = None, getattr(error, "strerror", None) or str(error)
        if problem:
            _say(f"the store {self.folder} cannot keep {words} ({problem}): they stay in memory")
        return found

    def has_room(self, n_bytes: int) -> bool:
        """Whether an entry of `n_bytes` can be kept, be it that others make room."""
        with contextlib.suppress(OSError):
            folder = next(path for path in (self.folder, *self.folder.parents) if path.exists())
            if not os.access(folder, os.W_OK) or not folder.is_dir():
                return False
            reusable = sum(entry.n_bytes for entry in self.entries())
            return n_bytes <= min(self.limit_bytes, shutil.disk_usage(folder).free + reusable - SPARE_BYTES)
        return False

    def entries(self) -> list[Entry]:
        """All entries, the last used first."""
        found = []
        for path in self.folder.glob("*.json"):
            about, data = read_json(path), path.with_suffix(".bin")
            with contextlib.suppress(OSError):  # another process may clear it away
                found.append(Entry(path.stem, about.get("words", "?"), data.stat().st_size, path.stat().st_mtime))
        return sorted(found, key=lambda entry: -entry.used)

    def remove(self, name: str) -> None:
        """Delete an entry. Processes that have it open keep what they have."""
        for suffix in (".json", ".bin"):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete all entries, and what killed processes left; what is computed at the moment stays."""
        for entry in self.entries():
            self.remove(entry.name)
        self._sweep()

    def _sweep(self) -> None:
        """Delete the files of computations that nobody is at any more. Their locks stay: others may wait for them."""
        for path in [*self.folder.glob("*.tmp"), *self.folder.glob("*.bin"), *self.folder.glob("*.progress")]:
            if not path.with_suffix(".json").exists():
                with contextlib.suppress(TimeoutError), FileLock(path.with_suffix(".lock"), timeout=0):
                    if not path.with_suffix(".json").exists():
                        path.unlink(missing_ok=True)

    def _opened(self, name: str, n_bytes: int) -> Found | None:
        """An entry that is whole; None where it is damaged, or not there."""
        about_path, path = self.folder / f"{name}.json", self.folder / f"{name}.bin"
        if not about_path.exists():
            return None
        about = read_json(about_path)
        with contextlib.suppress(OSError, ValueError, KeyError):
            status = path.stat()
            if about["version"] == VERSION and status.st_size == max(n_bytes, 1):
                key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
                content = _open.get(key)
                if content is None:
                    content = np.memmap(path, dtype=np.uint8, mode="c", shape=(n_bytes,)) if n_bytes else _nothing()
                    if _sums(content) != about["sums"]:
                        raise ValueError("the checksums differ")
                    _open[key] = content
                os.utime(about_path)
                return Found(content, about["notes"])
        return None

    def _discard_damaged(self, name: str) -> None:
        """Delete what is left of an entry, with a line on stderr. Only for who holds its lock: another may build it."""
        if (self.folder / f"{name}.json").exists():
            _say(f"{self.folder / name}.bin is damaged, or of another version: it is computed again")
            self.remove(name)

    def _build(self, name: str, n_bytes: int, words: str, fill: Fill) -> None:
        temporary, progress = self.folder / f"{name}.tmp", ProgressFile(self.folder / f"{name}.progress", words)
        try:
            with open(temporary, "wb") as file:
                # Where there is no room, this fails; a write through the map would kill the process.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, max(n_bytes, 1))
                else:
                    file.truncate(max(n_bytes, 1))
            content = np.memmap(temporary, dtype=np.uint8, mode="r+", shape=(n_bytes,)) if n_bytes else _nothing()
            progress(0.0)
            try:
                notes = fill(content, progress) or {}
            except Exception as error:
                raise _FillFailed(error) from error
            about = {"version": VERSION, "words": words, "notes": dict(notes), "sums": _sums(content)}
            if isinstance(content, np.memmap):
                content.flush()
            os.replace(temporary, self.folder / f"{name}.bin")
            temporary.write_text(json.dumps(about))
            os.replace(temporary, self.folder / f"{name}.json")
        finally:
            temporary.unlink(missing_ok=True)
            if not (self.folder / f"{name}.json").exists():
                (self.folder / f"{name}.bin").unlink(missing_ok=True)
            progress.end()

    def _make_room(self, n_bytes: int) -> None:
        """Delete what killed processes left, then entries, the least recently used first, until another fits."""
        self._sweep()
        entries = self.entries()
        free = shutil.disk_usage(self.folder).free - SPARE_BYTES
        total = sum(entry.n_bytes for entry in entries)
        while entries and (total + n_bytes > self.limit_bytes or n_bytes > free):
            entry = entries.pop()
            self.remove(entry.name)
            total, free = total - entry.n_bytes, free + entry.n_bytes


def shared() -> Store | None:
    """The store that the environment names; None where it is off. A ValueError names a limit that is none."""
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
        folder = Path(place or "~/.cache/hpo/store").expanduser()
    except RuntimeError as error:
        raise ValueError(f"HPO_CACHE: {place or 'the default, ~/.cache/hpo/store'}: {error}") from None
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"HPO_CACHE: {folder} is a file, not a folder")
    return Store(folder, gigabytes * 2**30)


def _sums(content: Bytes) -> list[int]:
    """Checksums of the blocks of a content, by all cores: zlib leaves the interpreter to others meanwhile."""
    blocks: Iterator[Bytes] = (content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES))
    with ThreadPoolExecutor(n_cores()) as pool:
        return list(pool.map(zlib.crc32, blocks))


def _nothing() -> Bytes:
    return np.empty(0, dtype=np.uint8)


def _hashed(key: Sequence[object]) -> str:
    return blake2b(json.dumps([str(each) for each in key]).encode(), digest_size=16).hexdigest()


def _say(text: str) -> None:
    print(f"hpo: {text}", file=sys.stderr, flush=True)
