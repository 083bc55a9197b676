"""A document: the content of a space file with the place of every key, its overrides, and its mistakes.

A mistake is named by its place: the file and line of its key, the `--set` text that brought it, or
nothing where the content came as a dictionary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hpo.errors import SpaceFileError, nearest
from hpo.space.rules import Problem
from hpo.space.values import shown
from hpo.spacefile import yaml_text
from hpo.spacefile.yaml_text import Keys


class Place(NamedTuple):
    """Where a key stands; places sort by the lines of the file, then come those of `--set`."""

    line: float
    text: str


class Document:
    """Content, the places of its keys, and the mistakes found in it so far."""

    def __init__(self, content: Any, source: str = "") -> None:
        """`source` names where the content comes from, in the mistakes that have no place of their own."""
        self.content = content
        self._places: dict[Keys, Place] = {(): Place(0, source)}
        self._overrides: set[Keys] = set()
        self._mistakes: list[tuple[Place, str]] = []

    @property
    def n_mistakes(self) -> int:
        """How many mistakes are noted so far."""
        return len(self._mistakes)

    def place(self, keys: Keys, place: Place) -> None:
        """Keep the place of a key."""
        self._places[keys] = place

    def note(self, keys: Keys, text: str, place: Place | None = None) -> None:
        """Note a mistake at a key: at its place, else at that of the nearest key above it."""
        known = next(keys[:n] for n in range(len(keys), -1, -1) if keys[:n] in self._places)
        if place is None and known not in self._overrides:
            text += self._overridden_beside(keys, text)
        place = place or self._places[known]
        parts = (place.text, ".".join(keys), text)
        self._mistakes.append((place, ": ".join(part for part in parts if part)))

    def _overridden_beside(self, keys: Keys, text: str) -> str:
        """The overrides of keys in the same section whose value the text tells, as `high=0.5`."""
        beside = [other for other in self._overrides if other[:-1] == keys[:-1] and f"{other[-1]}=" in text]
        return f" (by {', '.join(sorted(self._places[other].text for other in beside))})" if beside else ""

    def note_all(self, keys: Keys, problems: Iterable[Problem]) -> bool:
        """Note all problems under `keys`; whether there were none."""
        before = self.n_mistakes
        for within, text in problems:
            self.note(keys + within, text)
        return self.n_mistakes == before

    def mapping(self, keys: Keys, content: Any) -> dict[str, Any]:
        """A section: an absent one is empty; one that is no mapping, and keys that are no names, are noted."""
        if content is None:
            return {}
        if not isinstance(content, Mapping):
            self.note(keys, f"must hold keys and their values, but is {shown(content)}")
            return {}
        for key in content:
            if not isinstance(key, str):
                self.note(keys, f"the key {shown(key)} must be a name")
        return {key: value for key, value in content.items() if isinstance(key, str)}

    def fields(self, keys: Keys, content: Any, known: Iterable[str]) -> dict[str, Any]:
        """The known keys of a section that hold something; unknown ones are noted."""
        known, fields = tuple(known), {}
        for key, value in self.mapping(keys, content).items():
            if key not in known:
                self.note((*keys, key), f"unknown key{nearest(key, known)}")
            elif value is not None:
                fields[key] = value
        return fields

    def settle(self) -> None:
        """Raise all mistakes at once, in the order of their places; nothing where there are none."""
        if self._mistakes:
            in_order = sorted(self._mistakes, key=lambda mistake: mistake[0].line)
            raise SpaceFileError(dict.fromkeys(line for _, line in in_order))

    def override(self, text: str) -> None:
        """Take in one `a.b.c=value` of `--set`; a malformed one is noted as a mistake."""
        place = Place(math.inf, f"--set {text}")
        name, equals, written = text.partition("=")
        keys = tuple(key.strip() for key in name.split("."))
        if not equals or not all(keys):
            self.note((), "must be a dotted key and its value, as space.lr.high=0.5", place)
            return
        target = self.content
        for n, key in enumerate(keys):
            if not isinstance(target, dict):
                self.note(keys[:n], f"is {shown(target)}, and holds no key {key!r}", place)
                return
            if n < len(keys) - 1:
                if target.get(key) is None:
                    target[key] = {}
                    self._places.setdefault(keys[: n + 1], place)
                target = target[key]
        parsed = yaml_text.parse(written)
        for _, within, mistake in parsed.mistakes:
            self.note(keys + within, mistake, place)
        if parsed.mistakes:
            return
        target[keys[-1]] = parsed.value
        self._places = {known: at for known, at in self._places.items() if known[: len(keys)] != keys} | {keys: place}
        self._overrides = {known for known in self._overrides if known[: len(keys)] != keys} | {keys}


def load(path: Path, overrides: Sequence[str] = ()) -> Document:
    """The document of a YAML file, with its overrides; SpaceFileError where it holds no mapping at all."""
    document = Document(None, str(path))
    parsed = yaml_text.parse(_text(path))
    for line, keys, mistake in parsed.mistakes:
        document.note(keys, mistake, Place(line, f"{path}:{line}"))
    for keys, line in parsed.lines.items():
        document.place(keys, Place(line, f"{path}:{line}"))
    if not isinstance(parsed.value, dict):
        if not parsed.mistakes:
            held = "is empty" if parsed.value is None else f"holds only {shown(parsed.value)}"
            document.note((), f"{held}; a space file holds keys and their values")
        document.settle()
    document.content = parsed.value
    for override in overrides:
        document.override(override)
    return document


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"is not UTF-8 text (byte {error.start})"
    except FileNotFoundError:
        why = "no such file"
    except IsADirectoryError:
        why = "is a folder; a space is a file"
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    raise SpaceFileError([f"{path}: {why}"])
