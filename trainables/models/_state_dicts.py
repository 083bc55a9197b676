"""Finds the state dict of a network in the content of a weights file.

Training scripts wrap a state dict in a dict with other entries, and wrappers of a model put a prefix in front of its
keys. The entry and the prefix whose keys fit the network best are chosen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.errors import SetupError
from trainables.models._weights_files import SAVE_ALONE

ENTRIES = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
"""The usual names of the entry that holds a state dict. If two entries fit equally well, the earlier name is chosen."""
AVERAGED = re.compile(r"(^|[._])ema([._]|$)", re.IGNORECASE)
"""In the name of an entry, or in a prefix: its weights are an exponential moving average over the training."""
WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put in front of every key."""
INNER_WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What wrappers of a part of a model put inside keys."""
MAX_DEPTH = 3
"""The number of dicts around a state dict at most."""

Shapes = Mapping[str, torch.Size]
"""The shapes of a network's tensors by their keys."""


class StateDict(NamedTuple):
    """A state dict that was found in a file."""

    tensors: dict[str, Tensor]
    """The tensors, with the keys of the network."""
    changes: tuple[str, ...]
    """What was done to find it, in words. Empty if it is the whole content of the file, as it is."""


class _Choice(NamedTuple):
    """One way to read a state dict: the tensors of one entry whose keys begin with one prefix."""

    entry: str
    """The names of the dicts around it, joined by dots. Empty if it is the content of the file itself."""
    prefix: str
    tensors: Mapping[str, Tensor]
    """The tensors of the entry, with the keys of the file, or with these keys without inner wrappers."""
    lacks_wrappers: bool
    """Whether the names of inner wrappers were removed from the keys."""
    n_same_shape: int
    """The number of keys, without the prefix, that the network has with the same shape."""
    n_keys: int
    """The number of keys, without the prefix, that the network has."""

    @property
    def score(self) -> tuple[int, int]:
        return self.n_same_shape, self.n_keys

    @property
    def rank(self) -> tuple[int, bool]:
        """Among choices that fit equally well, the lowest rank is taken: averaged weights, then the usual names."""
        name = self.entry.rpartition(".")[2]
        place = ENTRIES.index(name) if name in ENTRIES else len(ENTRIES)
        return -1 if AVERAGED.search(f"{self.entry}.{self.prefix}") else place, self.lacks_wrappers

    @property
    def name(self) -> str:
        return f"{self.entry}: {self.prefix}" if self.entry and self.prefix else self.entry or self.prefix


def find(content: object, shapes: Shapes, path: Path) -> StateDict:
    """Find the state dict that fits a network with tensors of `shapes` best in the content of the file at `path`.

    A prefix is only removed if at least half of the network's keys follow it. The tensors without it are left out. If
    averaged weights (EMA) fit as well as others, they are chosen.

    Raises SetupError if the content holds no named tensors, or if two state dicts fit equally well.
    """
    choices = [choice for entry, tensors in _entries(content) for choice in _choices(entry, tensors, shapes)]
    if not choices:
        held = "an empty dict" if content == {} else type(content).__name__
        raise SetupError(f"`weights`: {path} holds no state dict, but {held} without named tensors: {SAVE_ALONE}")
    best = max(choice.score for choice in choices)
    fitting = [choice for choice in choices if choice.score == best]
    rank = min(choice.rank for choice in fitting)
    first, *others = [choice for choice in fitting if choice.rank == rank]
    if others and 0 < len(shapes) <= 2 * first.n_keys:
        raise SetupError(
            f"`weights`: {path} holds two state dicts that fit, {first.name!r} and {others[0].name!r}: "
            "save one of them alone"
        )
    return _take(first, [choice.entry for choice in choices])


def _entries(content: object, names: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The dicts inside the content of a file, or itself, that hold named tensors, each with its name.

    The state of an optimizer is left out.
    """
    if not isinstance(content, Mapping):
        return
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if tensors:
        yield ".".join(names), tensors
    for key, value in content.items():
        if isinstance(key, str) and "optimizer" not in key and len(names) < MAX_DEPTH:
            yield from _entries(value, (*names, key))


def _choices(entry: str, tensors: Mapping[str, Tensor], shapes: Shapes) -> Iterator[_Choice]:
    """The ways to read an entry: without a prefix to remove, and with each prefix that fits the network."""
    plain = {INNER_WRAPPERS.sub("", key): value for key, value in tensors.items()}
    for lacks_wrappers, named in ((False, tensors), (True, plain)):
        if lacks_wrappers and plain.keys() == tensors.keys():
            continue
        n_keys, n_same_shape = Counter[str](), Counter[str]()
        for key, value in named.items():
            for start in (0, *(match.end() for match in re.finditer(r"\.", key))):
                if (suffix := key[start:]) in shapes:
                    n_keys[key[:start]] += 1
                    n_same_shape[key[:start]] += shapes[suffix] == value.shape
        prefixes = [prefix for prefix, n in n_keys.items() if 2 * n >= len(shapes)]
        for prefix in prefixes or [_shared_wrappers(named, shapes)]:
            yield _Choice(entry, prefix, named, lacks_wrappers, n_same_shape[prefix], n_keys[prefix])


def _shared_wrappers(tensors: Mapping[str, Tensor], shapes: Shapes) -> str:
    """The names of wrappers at the start of all keys. Empty if the network's own keys begin with one."""
    prefix = ""
    while found := [each for each in WRAPPERS if all(key.startswith(prefix + each) for key in tensors)]:
        prefix += found[0]
    return "" if any(key.startswith(WRAPPERS) for key in shapes) else prefix


def _take(choice: _Choice, entries: list[str]) -> StateDict:
    """The tensors of a choice, and in words what was done. `entries` are the names of all state dicts of the file."""
    prefix = choice.prefix
    tensors = {key.removeprefix(prefix): value for key, value in choice.tensors.items() if key.startswith(prefix)}
    changes = []
    if choice.entry:
        others = [repr(each) for each in dict.fromkeys(entries) if each not in ("", choice.entry)]
        not_used = f" (and not {', '.join(others)})" if others else ""
        changes.append(f"the weights are its entry {choice.entry!r}{not_used}")
    if prefix:
        changes.append(f"the prefix {prefix!r} of their keys is removed")
    if choice.lacks_wrappers:
        changes.append("the names of wrappers inside their keys are removed")
    if n_left_out := len(choice.tensors) - len(tensors):
        changes.append(f"{n_left_out} tensor{'s' * (n_left_out > 1)} without this prefix left out")
    return StateDict(tensors, tuple(changes))
