"""YAML text into plain values: YAML 1.2 scalars, no key twice, the line of every key and of every mistake.

A scalar is what YAML 1.2 says: `1e-5`, `.5` and `010` are numbers (the last is 10), only true and
false are truth values, null and ~ are nothing, and all else is text: `no`, `1:30`, `1_000`, `2024-01-01`.
Only the tags of plain values are known, so a text can build no object; merge keys are not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from hpo.space.values import shown
from hpo.trial import Scalar

Keys = tuple[str, ...]
"""The keys that lead to a value."""

MOST_VALUES = 10_000
"""More than any space holds: aliases of aliases can make a small text endless."""


@dataclass
class Parsed:
    """What a text holds."""

    value: Any = None
    """None for an empty text and for a broken one."""
    lines: dict[Keys, int] = field(default_factory=dict)
    """Where each key stands, counted from 1."""
    mistakes: list[tuple[int, Keys, str]] = field(default_factory=list)
    """The line of each, the keys around it, and what is wrong."""


def parse(text: str) -> Parsed:
    """The plain values of a YAML text; what is wrong with it stands in `mistakes`, nothing is raised."""
    parsed = Parsed()
    try:
        node = yaml.compose(text, _Loader)
        if node is not None:
            parsed.value = _Walk(parsed).value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        why = ", ".join(part for part in (error.context, error.problem) if part)
        why = "a tab stands where only spaces may" if r"'\t'" in why else why
        parsed.mistakes.append((line, (), f"is broken YAML at column {column}: {why}"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        parsed.mistakes.append((line, (), f"holds the character U+{error.character:04X}, which YAML does not allow"))
    except RecursionError:
        parsed.mistakes.append((1, (), "is nested too deeply"))
    except _TooMuch:
        parsed.mistakes.append((1, (), f"holds more than {MOST_VALUES} values"))
    return parsed


class _Loader(yaml.SafeLoader):
    """Sorts scalars as YAML 1.2 does; it only composes, and constructs nothing."""


_TAG = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in (
    ("bool", r"(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("float", r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$", "-+."),
    ("null", r"(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), list(_first))

_SCALARS: dict[str, Callable[[str], Scalar]] = {
    _TAG + "str": str,
    _TAG + "int": lambda text: int(text) if len(text) < 400 else float(text),
    _TAG + "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    _TAG + "bool": lambda text: {"true": True, "false": False}[text.lower()],
    _TAG + "null": lambda text: None,
}


class _TooMuch(Exception):
    """Aliases of aliases hold more values than any space."""


class _Walk:
    """Turns composed nodes into plain values, and notes lines and mistakes on the way."""

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed
        self._n_values = 0

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        self._n_values += 1
        if self._n_values > MOST_VALUES:
            raise _TooMuch
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(each, keys) for each in node.value]
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, keys)
        tag = node.tag.replace(_TAG, "!!")
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALARS:
            self._note(node, keys, f"the tag {tag} is not known; only plain values are allowed")
            return None
        try:
            return _SCALARS[node.tag](node.value)
        except (KeyError, ValueError):
            self._note(node, keys, f"{shown(node.value)} is no {tag}")
            return None

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "[...]"
            path = (*keys, key)
            if key_node.tag != _TAG + "str":
                self._note(key_node, keys, f"the key {key} must be a name; in quotes it is one")
            elif key in content:
                before = self._parsed.lines[path]
                self._note(key_node, path, f"stands in line {before} already; a key may stand only once")
            else:
                self._parsed.lines[path] = key_node.start_mark.line + 1
                content[key] = self.value(value_node, path)
        return content

    def _note(self, node: yaml.Node, keys: Keys, text: str) -> None:
        self._parsed.mistakes.append((node.start_mark.line + 1, keys, text))
