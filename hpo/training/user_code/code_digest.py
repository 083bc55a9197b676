"""A hash of the user's training code: its source, that of the user's code that it calls, and the constants they use."""

from __future__ import annotations

import argparse
import ast
import dis
import functools
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType, MappingProxyType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from hpo.training.user_code.changed_values import Changes, namespace
from hpo.training.user_code.constants import constant_text, name_of, sort_key, type_name
from hpo.training.user_code.own_code import (
    assignment_source,
    bytecode,
    class_body_names,
    class_node,
    function_node,
    global_names,
    imported_sources,
    is_own,
    module_of,
    nested,
)

SETTINGS = (SimpleNamespace, argparse.Namespace)
PLAIN_BASES = ("builtins", "abc", "typing", "enum")
"""Modules whose base classes set no attributes of their own."""


def digest(code: Callable[..., Any]) -> str:
    """A hash of the code and the constants that it uses, 16 hexadecimal digits; it is the same in every process.

    Comments and layout do not count. What comes from an installed package counts by its name alone, and so do objects
    that are neither constants nor own ones. Code without a source counts by its bytecode. What the code itself changes
    is left out: a counter, a cache, an attribute of a class. Instead of a global that is left out, the source of its
    assignment counts, such as `TRANSFORM = Compose([...])`.
    """
    changes = Changes()
    first = _Walk(changes)  # keeps all objects alive while their ids are in use
    first.text_of(code)
    text = _Walk(changes).text_of(code)
    del first
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


class _Walk:
    """Describes objects as text. Each object gets a number when it is first met, and its text when its turn comes."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._numbers: dict[int, int] = {}
        self._met: list[Any] = []
        self._waiting: deque[Any] = deque()

    def text_of(self, code: Any) -> str:
        lines = [self._reference(code)]
        while self._waiting:
            value = self._waiting.popleft()
            lines.append(f"#{self._numbers[id(value)]} {self._guarded(self._description, value)}")
        return "\n".join(lines)

    def _guarded(self, describe: Callable[[Any], str], value: Any) -> str:
        try:
            return describe(value)
        except Exception:  # objects may fail in any way when they are looked at
            return type_name(value)

    def _reference(self, value: Any) -> str:
        return self._guarded(self._constant_or_number, value)

    def _constant_or_number(self, value: Any) -> str:
        """The text of a constant, the name of what is not own, else a number."""
        if id(value) in self._changes.objects:
            return type_name(value)
        constant = constant_text(value)
        if constant is not None:
            return constant
        if not self._is_followed(value):
            return name_of(value)
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._numbers)
            self._met.append(value)
            self._waiting.append(value)
        return f"#{self._numbers[id(value)]}"

    def _is_followed(self, value: Any) -> bool:
        kind = type(value)
        if issubclass(kind, type | FunctionType):
            return is_own(*module_of(value)) or "__wrapped__" in namespace(value)
        if issubclass(kind, list | tuple | dict | set | frozenset | MappingProxyType | MethodType | functools.partial):
            return True
        return issubclass(kind, SETTINGS) or is_own(*module_of(kind)) or bool(_wrapped(value))

    def _description(self, value: Any) -> str:
        kind = type(value)
        if issubclass(kind, type):
            return self._class(value)
        if issubclass(kind, FunctionType):
            return self._function(value, None)
        if issubclass(kind, functools.partial):
            return f"partial {self._all([value.func, value.args, value.keywords])}"
        if issubclass(kind, MethodType):
            return f"method {self._all([value.__func__, value.__self__])}"
        if issubclass(kind, dict | MappingProxyType):
            items = dict.items(value) if issubclass(kind, dict) else value.items()
            return f"{kind.__name__} {self._items(items)}"
        if issubclass(kind, set | frozenset):
            return f"{kind.__name__} {self._set(value)}"
        if issubclass(kind, list | tuple):
            return f"{kind.__name__} {self._all(list.__iter__(value) if issubclass(kind, list) else value)}"
        wrapped = _wrapped(value)
        return f"wrapper {self._all(wrapped)}" if wrapped else self._instance(value)

    def _all(self, values: Iterable[Any]) -> str:
        return f"[{', '.join(map(self._reference, values))}]"

    def _items(self, items: Iterable[tuple[Any, Any]]) -> str:
        """Sorted by the keys, so that the order in which they came does not count."""
        ordered = sorted(items, key=lambda item: sort_key(item[0]))
        return f"{{{', '.join(f'{sort_key(key)}: {self._reference(value)}' for key, value in ordered)}}}"

    def _set(self, values: Iterable[Any]) -> str:
        """Sorted; objects that cannot be ordered count by the name of their type."""
        keys = sorted(sort_key(value) for value in values)
        ordered = sorted(values, key=sort_key)
        return f"{keys} {self._all(value for value in ordered if keys.count(sort_key(value)) == 1)}"

    def _instance(self, value: Any) -> str:
        kinds = type(value).__mro__
        held = namespace(value)
        if not issubclass(type(value), SETTINGS) and any(
            not is_own(*module_of(kind)) and kind.__module__ not in PLAIN_BASES for kind in kinds
        ):  # a library's class may set attributes as it likes: take those that own methods set
            own = [kind for kind in kinds if is_own(*module_of(kind))]
            held = {name: held[name] for name in _attributes_set_by(own) if name in held}
        changed = self._changes.instance_attributes
        kept = {
            name: each
            for name, each in held.items()
            if (id(value), name) not in self._changes.variables
            and not any((id(kind), name) in changed for kind in kinds)
            and not name.startswith("__")
        }
        return f"instance {self._reference(type(value))} {self._items(kept.items())}"

    def _class(self, kind: type) -> str:
        members = namespace(kind)
        functions = {name: each for name, member in members.items() for each in _functions(member)}
        every = [each for member in members.values() for each in _functions(member)]
        node = class_node(kind, every)
        if node is not None:  # dataclasses make methods from the fields: those stand in the source
            every = [each for each in every if each.__code__.co_filename != "<string>"]
        own = [each for each in every if is_own(*module_of(each))]
        parts = [f"class {ast.unparse(node) if node else kind.__qualname__}"]
        parts.append(self._all([*kind.__bases__, type(kind)]))
        parts.extend(self._function(each, kind) for each in own)
        inner = [each for name, each in members.items() if name not in functions and not name.startswith("__")]
        parts.append(self._all(each for each in inner if issubclass(type(each), type | functools.partial)))
        if node is None:
            constants = {
                name: member
                for name, member in members.items()
                if not name.startswith("_abc_") and (not name.startswith("__") or name == "__slots__")
                if name not in functions and (id(kind), name) not in self._changes.variables
            }
            parts.append(self._items(constants.items()))
        else:
            values = module_of(every[0] if every else kind)[1] or {}
            parts.append(self._globals(class_body_names(node), values, _attribute_names(node)))
        return " ".join(parts)

    def _function(self, function: FunctionType, owner: type | None) -> str:
        wrapped = _wrapped(function)
        if not is_own(*module_of(function)):
            return f"{name_of(function)} {self._all(wrapped)}"
        node, code = function_node(function), function.__code__
        self._changes.add(function, node, owner)
        source = ast.unparse(node) if node is not None else bytecode(code)
        attributes = {name for part in nested(code) for name in part.co_names}
        closure: dict[str, Any] = {}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                if id(cell) not in self._changes.objects:
                    closure[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
        given = [function.__defaults__ or (), function.__kwdefaults__ or {}, closure, *wrapped]
        used = self._globals(global_names(code), function.__globals__, attributes)
        opaque = [name for name in global_names(code) if self._is_opaque(function.__globals__, name)]
        assigned = [assignment_source(function, name) for name in opaque]
        inner = [used, self._modules(closure.values(), attributes), *assigned, *sorted(set(imported_sources(function)))]
        return f"function {source} {self._all(given)} {inner}"

    def _is_opaque(self, values: dict[str, Any], name: str) -> bool:
        """Whether the value of a global does not count: an object of a library, or one that the code changes."""
        if name not in values or name.startswith("__"):
            return False
        return (id(values), name) in self._changes.variables or self._reference(values[name]) == type_name(values[name])

    def _globals(self, names: Iterable[str], values: dict[str, Any], attributes: set[str]) -> str:
        kept = {
            name: values[name]
            for name in names
            if name in values and not name.startswith("__") and (id(values), name) not in self._changes.variables
        }
        return f"{self._items(kept.items())} {self._modules(kept.values(), attributes)}"

    def _modules(self, values: Iterable[Any], attributes: set[str]) -> str:
        """What is used of own modules: those of their variables whose names are among the attributes."""
        waiting = [each for each in values if _is_own_module(each)]
        done: list[ModuleType] = []
        texts: list[str] = []
        while waiting:
            module = waiting.pop(0)
            if any(each is module for each in done):
                continue
            done.append(module)
            used = {name: vars(module)[name] for name in sorted(attributes & set(vars(module)))}
            kept = {k: v for k, v in used.items() if (id(vars(module)), k) not in self._changes.variables}
            waiting.extend(each for each in kept.values() if _is_own_module(each))
            texts.append(self._items(kept.items()))
        return str(texts)


def _is_own_module(value: Any) -> bool:
    return issubclass(type(value), ModuleType) and is_own(value.__name__, vars(value))


def _functions(member: Any) -> Iterator[FunctionType]:
    """The functions of a member of a class: a method and what it wraps, or those of a property and the like."""
    if issubclass(type(member), property):
        held = [member.fget, member.fset, member.fdel]
    elif issubclass(type(member), staticmethod | classmethod):
        held = [member.__func__]
    else:
        held = [member.func if issubclass(type(member), functools.cached_property) else member]
    while held:
        each = held.pop(0)
        if issubclass(type(each), FunctionType):
            yield each
        held.extend(_wrapped(each))


def _wrapped(value: Any) -> list[Any]:
    """What `functools.wraps` or `functools.lru_cache` wraps, as a list of one."""
    inner = namespace(value).get("__wrapped__")
    return [] if inner is None else [inner]


def _attributes_set_by(kinds: list[type]) -> dict[str, None]:
    """The names of the attributes that the methods of the classes set."""
    functions = [each for kind in kinds for member in namespace(kind).values() for each in _functions(member)]
    steps = (step for each in functions for code in nested(each.__code__) for step in dis.get_instructions(code))
    return dict.fromkeys(str(step.argval) for step in steps if step.opname == "STORE_ATTR")


def _attribute_names(node: ast.AST) -> set[str]:
    return {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
