"""A YAML parser that returns plain values, the line of every key, and the line of every mistake.

It differs from `yaml.safe_load` in these points:

- Scalars follow YAML 1.2. `1e-5`, `.5` and `010` are numbers (the last is 10). Only true and false are truth values,
  and only null, ~ and nothing at all are null. Everything else is text, such as `no`, `1:30`, `1_000` and `2024-01-01`.
- A key that appears twice in a mapping is a mistake. So is a key that is no text, except in a `prior`: its keys are
  choices, and become their texts.
- Only the tags of plain values are allowed, so no text can create other objects. Merge keys (`<<`) are not supported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from hpo.space.values import format_value, value_as_text
from hpo.trial import Scalar

Keys = tuple[str, ...]
"""The keys that lead to a value."""

MAX_VALUES = 10_000
"""More values than any space file holds. Without a limit, aliases of aliases can make a small text huge."""


@dataclass
class Parsed:
    """The result of parsing a text."""

    value: Any = None
    """The content. It is None if the text is empty or no valid YAML."""
    lines: dict[Keys, int] = field(default_factory=dict)
    """The line of each key, counted from 1."""
    mistakes: list[tuple[int, Keys, str]] = field(default_factory=list)
    """For each mistake its line, the keys that lead to it, and what is wrong."""


def parse(text: str, at: Keys = ()) -> Parsed:
    """Parse a YAML text. Raises nothing: all mistakes are in the result.

    `at` are the keys of a space file under which the text stands. All keys of the result begin with them.
    """
    parsed = Parsed()
    try:
        node = yaml.compose(text, _Loader)
        if node is not None:
            parsed.value = _NodeConverter(parsed).convert(node, at)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        why = ", ".join(part for part in (error.context, error.problem) if part)
        why = "a tab stands where only spaces may" if r"'\t'" in why else why
        parsed.mistakes.append((line, at, f"is broken YAML at column {column}: {why}"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        parsed.mistakes.append((line, at, f"holds the character U+{error.character:04X}, which YAML does not allow"))
    except RecursionError:
        parsed.mistakes.append((1, at, "is nested too deeply"))
    except _TooManyValues:
        parsed.mistakes.append((1, at, f"holds more than {MAX_VALUES} values"))
    return parsed


def parse_value(text: str, at: Keys = ()) -> Parsed:
    """Parse a value of the command line, as `parse` does, but take a path that is not UTF-8 as text.

    YAML does not allow such a path. Raises nothing: all mistakes are in the result.
    """
    is_utf8 = all(not "\ud800" <= character <= "\udfff" for character in text)
    return parse(text, at) if is_utf8 else Parsed(text)


class _Loader(yaml.SafeLoader):
    """Detects the types of scalars by the rules of YAML 1.2. It is only used to compose nodes, not to create values."""


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
    # int() refuses numbers of thousands of digits. As a float they are infinite, which the rules reject.
    _TAG + "int": lambda text: int(text) if len(text) < 400 else float(text),
    _TAG + "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    _TAG + "bool": lambda text: {"true": True, "false": False}[text.lower()],
    _TAG + "null": lambda text: None,
}


class _TooManyValues(Exception):
    """The text holds more than `MAX_VALUES` values."""


class _NodeConverter:
    """Converts composed YAML nodes into plain values, and adds the lines of keys and all mistakes to a Parsed."""

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed
        self._n_values = 0

    def convert(self, node: yaml.Node, keys: Keys) -> Any:
        self._n_values += 1
        if self._n_values > MAX_VALUES:
            raise _TooManyValues
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.convert(item, keys) for item in node.value]
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, keys)
        tag = node.tag.replace(_TAG, "!!")
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALARS:
            self._add_mistake(node, keys, f"the tag {tag} is not known; only plain values are allowed")
            return None
        try:
            return _SCALARS[node.tag](node.value)
        except (KeyError, ValueError):
            self._add_mistake(node, keys, f"{format_value(node.value)} is no {tag}")
            return None

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "[...]"
            is_text = key_node.tag == _TAG + "str"
            if not is_text and _may_be_prior(keys):
                key, is_text = value_as_text(self.convert(key_node, keys)), True
            path = (*keys, key)
            if not is_text:
                self._add_mistake(key_node, keys, f"the key {key} must be a name; in quotes it is one")
            elif key in content:
                first_line = self._parsed.lines[path]
                self._add_mistake(key_node, path, f"stands in line {first_line} already; a key may stand only once")
            else:
                self._parsed.lines[path] = key_node.start_mark.line + 1
                content[key] = self.convert(value_node, path)
        return content

    def _add_mistake(self, node: yaml.Node, keys: Keys, text: str) -> None:
        self._parsed.mistakes.append((node.start_mark.line + 1, keys, text))


def _may_be_prior(keys: Keys) -> bool:
    """Whether the keys lead to the prior of a hyperparameter, which may be misspelt."""
    return len(keys) == 3 and keys[0] == "space" and keys[2] != "when"
