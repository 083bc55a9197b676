"""The cache on disk, as the command line shows it: its entries, running computations, and how to clear it.

The cache holds images, features and checks of files. `trainables/store` implements it.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hpo.errors import UnknownName, UserError

if TYPE_CHECKING:
    from trainables.store.progress_files import RunningComputation
    from trainables.store.store import Store


def lines() -> list[str]:
    """The lines that `hpo cache` prints: the entries, the most recently used first, then their total size.

    Raises UserError if HPO_CACHE or HPO_CACHE_GB has an invalid value.
    """
    store = _store()
    if store is None:
        return ["the cache is off (HPO_CACHE=off): images and features are kept only in memory"]
    entries = store.entries()
    rows = [f"{_size(entry.n_bytes):>9}  {_ago(entry.used):>14}  {entry.words}  {entry.name}" for entry in entries]
    total = sum(entry.n_bytes for entry in entries)
    return [*rows, f"{_size(total):>9}  in total, of {_size(store.limit_bytes)} at most, in {store.folder}"]


def clear(name: str | None = None) -> str:
    """Delete the entry `name`, or all entries. Returns a line that says how much space was freed.

    Raises UnknownName if there is no such entry, and UserError if the cache is off or its settings are wrong.
    """
    store = _store()
    if store is None:
        raise UserError("the cache is off (HPO_CACHE=off): there is nothing to clear")
    entries = {entry.name: entry for entry in store.entries()}
    if name is None:
        store.clear()
        return f"{_size(sum(entry.n_bytes for entry in entries.values()))} freed in {store.folder}"
    if name not in entries:
        raise UnknownName("entry", name, entries)
    store.remove(name)
    return f"{_size(entries[name].n_bytes)} freed in {store.folder}"


def in_progress(process: int | None = None) -> list[RunningComputation]:
    """The cache entries that a process of this machine and its workers compute at the moment, or wait for.

    None is this process. Those of other searches are left out, unless this one waits for them.
    """
    from trainables.store import progress_files

    store = _store()
    if store is None or not store.folder.is_dir():
        return []
    return progress_files.running(store.folder, os.getpid() if process is None else process)


def search_process() -> dict[str, str]:
    """The environment variable by which a worker that is no child of this process says that it works for it."""
    from trainables.store import progress_files

    return {progress_files.SEARCH_PROCESS: progress_files.name_of_this_process()}


def check() -> None:
    """Raise a UserError if HPO_CACHE or HPO_CACHE_GB has an invalid value."""
    _store()


def _store() -> Store | None:
    """The cache of this machine. Returns None if it is off. Raises UserError if its settings are wrong."""
    from trainables.store import store as stores

    try:
        return stores.shared()
    except ValueError as error:
        raise UserError(str(error)) from None


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.2f} GB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MB"


def _ago(moment: float) -> str:
    minutes = max(0.0, time.time() - moment) / 60
    for unit, length in (("d", 24 * 60), ("h", 60)):
        if minutes >= length:
            return f"{minutes / length:.0f} {unit} ago"
    return f"{minutes:.0f} min ago"
