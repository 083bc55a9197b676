"""The store of images, features and cuts, as people see it: what is in it, what is computed, clearing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hpo.errors import Mistake, UnknownName

if TYPE_CHECKING:
    from trainables.store.progress import RunningComputation
    from trainables.store.store import Store


def lines() -> list[str]:
    """What is kept, the last used first, and where; a Mistake where the environment names no such store."""
    store = _store()
    if store is None:
        return ["the store is off (HPO_CACHE=off): images and features are kept in memory alone"]
    entries = store.entries()
    rows = [f"{_size(each.n_bytes):>9}  {_ago(each.used):>14}  {each.words}  {each.name}" for each in entries]
    total = sum(each.n_bytes for each in entries)
    return [*rows, f"{_size(total):>9}  in all, of {_size(store.limit_bytes)} at most, in {store.folder}"]


def clear(name: str | None = None) -> str:
    """Delete an entry, or all of them; says what was freed. A Mistake where there is none of that name."""
    store = _store()
    if store is None:
        raise Mistake("the store is off (HPO_CACHE=off): there is nothing to clear")
    entries = {each.name: each for each in store.entries()}
    if name is None:
        store.clear()
        return f"{_size(sum(each.n_bytes for each in entries.values()))} freed in {store.folder}"
    if name not in entries:
        raise UnknownName("entry", name, entries)
    store.remove(name)
    return f"{_size(entries[name].n_bytes)} freed in {store.folder}"


def in_progress() -> list[RunningComputation]:
    """What workers compute for the store at the moment."""
    from trainables.store import progress

    store = _store()
    if store is None or not store.folder.is_dir():
        return []
    return progress.running(store.folder)


def check() -> None:
    """A Mistake where the environment asks for a store that cannot be."""
    _store()


def _store() -> Store | None:
    from trainables.store import store as stores

    try:
        return stores.shared()
    except ValueError as error:
        raise Mistake(str(error)) from None


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.2f} GB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MB"


def _ago(moment: float) -> str:
    minutes = max(0.0, time.time() - moment) / 60
    for unit, length in (("d", 24 * 60), ("h", 60)):
        if minutes >= length:
            return f"{minutes / length:.0f} {unit} ago"
    return f"{minutes:.0f} min ago"
