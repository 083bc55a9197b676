"""Values that own code changes while it runs, such as counters and caches: they cannot identify the code."""

from __future__ import annotations

import ast
import contextlib
import dis
import inspect
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

from hpo.training.user_code.own_code import Definition, global_names, nested

CONTAINERS = (list, dict, set, bytearray)

CHANGING = frozenset(
    {
        *("add", "append", "clear", "difference_update", "discard", "extend", "insert", "intersection_update"),
        *("pop", "popitem", "remove", "reverse", "setdefault", "sort", "symmetric_difference_update", "update"),
    }
)
"""The methods that change a list, a dict or a set."""

CONSTRUCTORS = ("__init__", "__post_init__", "__new__", "__setstate__")
"""Methods whose values belong to the object from its beginning."""


@dataclass
class Changes:
    """What the code changes. The objects must stay alive, since they are known by their ids."""

    variables: set[tuple[int, str]] = field(default_factory=set)
    """The id of a namespace (a dict of globals), a class or an object, with the name of a variable in it."""

    instance_attributes: set[tuple[int, str]] = field(default_factory=set)
    """The id of a class, with the name of an attribute of its instances."""

    objects: set[int] = field(default_factory=set)
    """The ids of containers and closure cells."""

    def add(self, function: FunctionType, node: Definition | None, owner: type | None) -> None:
        """What one function changes; `node` is its definition, `owner` the class whose method it is."""
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for code in nested(function.__code__):
            for step in dis.get_instructions(code):
                if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                    self.variables.add((id(function.__globals__), str(step.argval)))
                elif step.opname in ("STORE_DEREF", "DELETE_DEREF") and step.argval in cells:
                    self.objects.add(id(cells[step.argval]))
        if node is None:
            self._add_bytecode(function, owner)
        else:
            self._add_source(function, node, owner)

    def _add_source(self, function: FunctionType, node: Definition, owner: type | None) -> None:
        known = visible(function)
        for each in ast.walk(node):
            if isinstance(each, ast.Attribute | ast.Subscript) and isinstance(each.ctx, ast.Store | ast.Del):
                target: ast.expr = each
            elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in CHANGING:
                target = ast.Subscript(each.func.value, ast.Constant(0), ast.Store())
            else:
                continue
            root, path = _path(target)
            if isinstance(root, ast.Name) and root.id in known:
                self._change(known[root.id], path)
            elif owner is not None and path:
                self._change_own(function, owner, root, path)

    def _change(self, value: Any, path: list[str | None]) -> None:
        """Follow the attributes to what is changed; None stands for an item."""
        for name in path[:-1]:
            inner = namespace(value).get(name) if name is not None else None
            if inner is None:
                break
            value = inner
        if issubclass(type(value), CONTAINERS) or type(value).__name__ == "ndarray":
            self.objects.add(id(value))
        elif path[-1] is not None:
            self.variables.add((id(vars(value)) if issubclass(type(value), ModuleType) else id(value), path[-1]))

    def _change_own(self, function: FunctionType, owner: type, root: ast.expr, path: list[str | None]) -> None:
        """`self.n += 1`, `cls.n += 1`, `type(self).n += 1` or `self.__class__.n += 1` in a method."""
        is_first = isinstance(root, ast.Name) and root.id in function.__code__.co_varnames[:1]
        of_class = path[0] == "__class__" or not isinstance(root, ast.Name)
        name = path[1] if path[0] == "__class__" and len(path) > 1 else path[0]
        if name is None or not (is_first or of_class):
            return
        if of_class or function.__name__ not in CONSTRUCTORS:
            self.variables.add((id(owner), name))
        if not of_class and function.__name__ not in CONSTRUCTORS:
            self.instance_attributes.add((id(owner), name))

    def _add_bytecode(self, function: FunctionType, owner: type | None) -> None:
        """Without a source: whatever the stored attributes and items might belong to."""
        steps = [step for code in nested(function.__code__) for step in dis.get_instructions(code)]
        stored = [str(step.argval) for step in steps if step.opname in ("STORE_ATTR", "DELETE_ATTR")]
        items = any(step.opname in ("STORE_SUBSCR", "DELETE_SUBSCR") for step in steps)
        calls = any(step.opname in ("LOAD_METHOD", "LOAD_ATTR") and step.argval in CHANGING for step in steps)
        for value in visible(function).values():
            if issubclass(type(value), CONTAINERS):
                self.objects.update([id(value)] if items or calls else [])
            else:
                of = id(vars(value)) if issubclass(type(value), ModuleType) else id(value)
                self.variables.update((of, name) for name in stored)
        if owner is not None:
            self.variables.update((id(owner), name) for name in stored)
            if function.__name__ not in CONSTRUCTORS:
                self.instance_attributes.update((id(owner), name) for name in stored)


def visible(function: FunctionType) -> dict[str, Any]:
    """The globals, closure variables and default arguments that a function uses, by name.

    A parameter that is assigned in the function may no longer be its default, so it is left out.
    """
    found = {
        name: function.__globals__[name] for name in global_names(function.__code__) if name in function.__globals__
    }
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    code, defaults = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    given = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=False))
    given.update(function.__kwdefaults__ or {})
    assigned = {str(step.argval) for step in dis.get_instructions(code) if step.opname == "STORE_FAST"}
    return {**found, **{name: value for name, value in given.items() if name not in assigned}}


def namespace(value: Any) -> dict[str, Any]:
    """The attributes of an object, read without running its code; those in slots too."""
    found: dict[str, Any] = {}
    is_class = issubclass(type(value), type)
    if not is_class:
        for kind in type(value).__mro__:
            for name, member in vars(kind).items():
                if inspect.ismemberdescriptor(member) and hasattr(member, "__objclass__"):
                    try:
                        found[name] = member.__get__(value)
                    except AttributeError:  # not assigned yet
                        continue
    with contextlib.suppress(AttributeError, TypeError):
        found.update(type.__dict__["__dict__"].__get__(value) if is_class else _dict(value))
    return found


def _dict(value: Any) -> dict[str, Any]:
    held = object.__getattribute__(value, "__dict__")
    return held if isinstance(held, dict) else {}


def _path(target: ast.expr) -> tuple[ast.expr, list[str | None]]:
    """The expression at the root of `a.b[0].c`, and the steps from it: "b", None, "c"."""
    path: list[str | None] = []
    while isinstance(target, ast.Attribute | ast.Subscript):
        path.insert(0, target.attr if isinstance(target, ast.Attribute) else None)
        target = target.value
    return target, path
