"""What a plug-in can be set to, for people: each hyperparameter or option with its meaning, its values and its default.

It is read from the declarations of the modules (`declarations.py`), and from the signature and the docstring of the
function `build` of backends and runners. Nothing is imported.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace

from hpo.plugins import declarations, traits
from hpo.plugins.declarations import Declared
from hpo.plugins.module_source import parse, source_path
from hpo.plugins.registry import find
from hpo.space.values import format_value
from hpo.trial import Scalar

NO_OPTIONS = {
    "backend": ("seed",),
    "runner": ("job", "checkpoints", "devices", "slots", "report_timeout", "curves", "devices_per_trial", "notify"),
}
"""The arguments of `build` that are no options, by the kind of the plug-in."""


@dataclass(frozen=True)
class Setting:
    """A hyperparameter, or an option of a plug-in."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    """The values that it may take, as a space file writes them. Empty if the meaning says which."""
    default: str | None = None
    """Its value if it is not given, as a space file writes it, or in words. None if it must be given or is unknown."""


def hyperparameters(module: str) -> list[Setting]:
    """The hyperparameters that a module and the modules in its READS_ALSO read."""
    modules = declarations.modules(module, find)
    meanings = {name: text for each in modules for name, text in declarations.meanings(each, find).items()}
    return settings(declarations.read(module, find) or {}, meanings)


def recipes(module: str) -> dict[str, str]:
    """The augmentation recipes that a module declares in RECIPES, and what each does."""
    return {name: str(does) for name, (does, _) in _recipes(module).items()}


def recipe_hyperparameters(module: str, recipe: str) -> list[Setting]:
    """The hyperparameters that an augmentation recipe of a module reads, with its own defaults."""
    known = {each.name: each for each in hyperparameters(module)}
    found = [known[name] for name in _recipes(module)[recipe][1]]
    return [replace(each, default=_default_in(each.default, recipe)) for each in found]


def _recipes(module: str) -> dict[str, tuple[str, list[str]]]:
    found, _ = declarations.literal(module, "RECIPES", find)
    return found or {}


def _default_in(default: str | None, recipe: str) -> str | None:
    """The default of a hyperparameter in one recipe: 0.1 of "0.5, in few_shot 0.1"."""
    of_all, *others = (default or "").split(", in ")
    of_recipe = dict(other.split(" ", 1) for other in others)
    return of_recipe.get(recipe, of_all) or None


def dataset_options(module: str) -> list[Setting]:
    """The options of a data set. A list of values has no known default."""
    declared, meanings = declarations.options(module, find) or {}, declarations.meanings(module, find)
    return settings(declared, meanings, first_is_default=False)


def settings(declared: Declared, meanings: dict[str, str], *, first_is_default: bool = True) -> list[Setting]:
    """Declarations as settings. The first of a list of values is the default."""
    found = []
    for name, allowed in declared.items():
        if isinstance(allowed, str):
            meaning, default = _split_default(allowed)
            found.append(Setting(name, meaning, (), default))
        else:
            values = tuple(_text(value) for value in allowed)
            found.append(Setting(name, meanings.get(name, ""), values, values[0] if first_is_default else None))
    return found


def build_options(module: str, kind: str) -> list[Setting]:
    """The options of a `backend` or `runner`: the keywords of its function `build`, as its docstring describes them."""
    source = source_path(find(module))
    if source is None:
        return []
    for statement in parse(source).body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "build":
            texts = _described_arguments(ast.get_docstring(statement) or "")
            defaults = zip(statement.args.kwonlyargs, statement.args.kw_defaults, strict=True)
            return [
                Setting(argument.arg, texts.get(argument.arg, ""), (), None if value is None else _source_text(value))
                for argument, value in defaults
                if argument.arg not in NO_OPTIONS[kind]
            ]
    return []


def places(module: str) -> list[Setting]:
    """What may be written after the name of a tracker and `=`, as its module declares in `WHERE`."""
    declared = traits.places(module, find) or {}
    return [Setting(f"={each.name}", each.meaning, (), each.default) for each in settings(dict(declared), {})]


def summary(module: str) -> str:
    """The first line of the docstring of a module. Empty if it has none, or no source."""
    source = source_path(find(module))
    text = None if source is None else ast.get_docstring(parse(source))
    return (text or "").partition("\n\n")[0].replace("\n", " ")


def _split_default(text: str) -> tuple[str, str | None]:
    """A description without its end "; default 64", and that default."""
    match = re.fullmatch(r"(.*)[;,] default ([^()]+)", text)
    return (text, None) if match is None else (match[1], match[2])


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else str(format_value(value))


def _source_text(value: ast.expr) -> str:
    """The expression of a default as a space file writes it: null, true, 0.333, a text without quotes."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div):
        sides = value.left, value.right
        if all(isinstance(side, ast.Constant) and isinstance(side.value, int) for side in sides):
            left, right = (side.value for side in sides if isinstance(side, ast.Constant))
            return f"{left / right:.3g}"  # type: ignore[operator]
    try:
        return _text(ast.literal_eval(value))
    except ValueError:  # a name
        return ast.unparse(value)


def _described_arguments(docstring: str) -> dict[str, str]:
    """The texts of the arguments in the section `Args` of a docstring, by their names."""
    section = docstring.partition("Args:\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        match = re.match(r"    (\w[\w, ]*): (.*)", line)
        if match is not None:
            names = [name.strip() for name in match[1].split(",")]
            found |= dict.fromkeys(names, match[2])
        elif names:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
