"""The content of a space file, with the place of every key, the `--set` overrides, and the mistakes found so far.

Each mistake is reported with its place: the file and line of its key, or the `--set` text that set the value. Content
that comes from a dictionary has no places.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hpo.errors import SpaceFileError, nearest, shortened
from hpo.space.rules import Problem
from hpo.space.values import format_value
from hpo.spacefile import yaml_text
from hpo.spacefile.yaml_text import Keys

OVERRIDE_LINE = math.inf
"""The line of the overrides."""
NAMED_SECTIONS = (("task", "dataset"), ("task", "pretraining"))
"""The sections that may be written as a name alone. The name is then the value of their key `name`."""


class KeyOrigin(NamedTuple):
    """Where a key comes from. Origins are sorted by line; overrides have the line infinity, so they come last."""

    line: float
    text: str
    override: str = ""
    """The text of an override in full. `text` may be cut."""


class Document:
    """The content of a space file, the places of its keys, and the mistakes found so far."""

    def __init__(self, content: Any, source: str = "") -> None:
        """`source` says where the content comes from. It is reported for mistakes without a place of their own."""
        self.content = content
        self._places: dict[Keys, KeyOrigin] = {(): KeyOrigin(0, source)}
        self._overrides: set[Keys] = set()
        self._mistakes: list[tuple[KeyOrigin, str]] = []

    @property
    def n_mistakes(self) -> int:
        """The number of mistakes found so far."""
        return len(self._mistakes)

    def is_overridden(self, keys: Keys) -> bool:
        """Whether the value of a key comes from an override."""
        return any(keys[: len(other)] == other for other in self._overrides)

    def set_place(self, keys: Keys, place: KeyOrigin) -> None:
        """Set the place of a key."""
        self._places[keys] = place

    def add_mistake(self, keys: Keys, text: str, place: KeyOrigin | None = None) -> None:
        """Add a mistake at a key. Its place is `place`, or that of the key, or that of the nearest key above it."""
        placed_key = next(keys[:n] for n in range(len(keys), -1, -1) if keys[:n] in self._places)
        if place is None and placed_key not in self._overrides:
            # `low` is reported for low > high, even if an override of `high` caused this.
            text += self._overridden_neighbours(keys, text)
        place = place or self._places[placed_key]
        name = ".".join(keys)
        if place.line == OVERRIDE_LINE:  # its text has the key and the value already
            key, _, value = place.override.partition("=")
            name = "" if key == name else name
            text = text.removeprefix(f"{value}: ").removeprefix(f"{value!r}: ")
        parts = (place.text, name, text)
        self._mistakes.append((place, ": ".join(part for part in parts if part)))

    def _overridden_neighbours(self, keys: Keys, text: str) -> str:
        """The overrides in the same section whose value appears in `text`, such as `high=0.5`, in parentheses."""
        neighbours = [other for other in self._overrides if other[:-1] == keys[:-1] and f"{other[-1]}=" in text]
        if not neighbours:
            return ""
        return f" (by {', '.join(sorted(self._places[other].text for other in neighbours))})"

    def add_problems(self, keys: Keys, problems: Iterable[Problem]) -> bool:
        """Add all problems under `keys` as mistakes. Returns whether there were none."""
        n_before = self.n_mistakes
        for path, text in problems:
            self.add_mistake(keys + path, text)
        return self.n_mistakes == n_before

    def mapping(self, keys: Keys, content: Any) -> dict[str, Any]:
        """The content of a section, as a dictionary.

        A missing section is empty. Content that is no mapping, and keys that are no text, are added as mistakes.
        """
        if content is None:
            return {}
        if not isinstance(content, Mapping):
            self.add_mistake(keys, f"must hold keys and their values, but is {format_value(content)}")
            return {}
        for key in content:
            if not isinstance(key, str):
                self.add_mistake(keys, f"the key {format_value(key)} must be a name")
        return {key: value for key, value in content.items() if isinstance(key, str)}

    def fields(self, keys: Keys, content: Any, known: Iterable[str]) -> dict[str, Any]:
        """The known keys of a section whose value is not null. Unknown keys are added as mistakes."""
        known, fields = tuple(known), {}
        for key, value in self.mapping(keys, content).items():
            if key not in known:
                self.add_mistake((*keys, key), f"unknown key{nearest(key, known)}")
            elif value is not None:
                fields[key] = value
        return fields

    def raise_mistakes(self) -> None:
        """Raise a SpaceFileError with all mistakes, sorted by place. Does nothing if there are none."""
        if self._mistakes:
            in_order = sorted(self._mistakes, key=lambda mistake: mistake[0].line)
            raise SpaceFileError(dict.fromkeys(line for _, line in in_order))

    def apply_override(self, text: str) -> None:
        """Apply one `a.b.c=value` of `--set`. A malformed one is added as a mistake."""
        place = KeyOrigin(OVERRIDE_LINE, f"--set {shortened(text)}", text)
        dotted_key, equals, value_text = text.partition("=")
        keys = tuple(key.strip() for key in dotted_key.split("."))
        if not equals or not all(keys):
            self.add_mistake((), "must be a dotted key and its value, as space.lr.high=0.5", place)
            return
        section = self.content
        for n, key in enumerate(keys):
            if not isinstance(section, dict):
                self.add_mistake(keys[:n], f"is {format_value(section)}, and holds no key {key!r}", place)
                return
            if n < len(keys) - 1:
                if section.get(key) is None:
                    section[key] = {}
                    self._places.setdefault(keys[: n + 1], place)
                elif keys[: n + 1] in NAMED_SECTIONS and isinstance(section[key], str):
                    section[key] = {"name": section[key]}
                section = section[key]
        parsed = yaml_text.parse_value(value_text, keys)
        for _, path, mistake in parsed.mistakes:
            self.add_mistake(path, mistake, place)
        if parsed.mistakes:
            return
        section[keys[-1]] = parsed.value
        # The new value replaces everything below its key, so the places below it are gone.
        self._places = {other: at for other, at in self._places.items() if other[: len(keys)] != keys} | {keys: place}
        self._overrides = {other for other in self._overrides if other[: len(keys)] != keys} | {keys}


def load(path: Path, overrides: Sequence[str] = ()) -> Document:
    """Read a YAML file and apply the overrides to it. Raises SpaceFileError if the file holds no mapping."""
    document = Document(None, str(path))
    parsed = yaml_text.parse(_text(path))
    for line, keys, mistake in parsed.mistakes:
        document.add_mistake(keys, mistake, KeyOrigin(line, f"{path}:{line}"))
    for keys, line in parsed.lines.items():
        document.set_place(keys, KeyOrigin(line, f"{path}:{line}"))
    if not isinstance(parsed.value, dict):
        if not parsed.mistakes:
            held = "is empty" if parsed.value is None else f"holds only {format_value(parsed.value)}"
            document.add_mistake((), f"{held}; a space file holds keys and their values")
        document.raise_mistakes()
    document.content = parsed.value
    for override in overrides:
        document.apply_override(override)
    return document


def _text(path: Path) -> str:
    """The text of a file. Raises SpaceFileError if it cannot be read."""
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
