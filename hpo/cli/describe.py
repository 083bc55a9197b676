"""The command describe: what can be set, and to what."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from hpo.cli import completion
from hpo.cli.completion import KINDS, names_of
from hpo.cli.options import check_format
from hpo.cli.printing import print_line, terminal_width
from hpo.cli.typed_names import check_kind, check_name, find_kind, kinds_with, with_article
from hpo.errors import UserError
from hpo.plugins.foreign_names import elsewhere, foreign_names, own_name

if TYPE_CHECKING:
    from hpo.plugins.described import Setting
    from hpo.space import Domain, SearchSpace

FORMATS = ("table", "json")
MAX_WIDTH = 24
"""The widest column of values where the width has a limit, in characters: the meanings need the room."""
UNLIMITED = 100_000
"""The width of a table without a limit: wider than any."""


@click.command()
@click.argument("kind", required=False, shell_complete=completion.described_kinds)
@click.argument("name", required=False, shell_complete=completion.described_names)
@click.option(
    "--space",
    shell_complete=completion.spaces,
    help="Describe what this space file, or bundled space, reads, and what it leaves at defaults.",
)
@click.option("--format", "format", default="table", show_default=True, help="table or json.")
def describe(kind: str | None, name: str | None, space: str | None, format: str) -> None:
    """Show what can be set: every hyperparameter and option, its values and its default.

    \b
    hpo describe                             the kinds, and the names of each
    hpo describe model                       the models
    hpo describe regime linear_probe         what a regime reads
    hpo describe lora                        the same, if only one kind has this name
    hpo describe lr                          what a hyperparameter means, and which plug-ins read it
    hpo describe --space my_flowers.yaml     what a space reads
    """
    check_format(format, FORMATS)
    if space is not None:
        if kind is not None:
            raise UserError("--space describes a space: leave the kind out")
        from hpo import spacefile

        read = spacefile.read(spacefile.find(space))
        rows = _of_space(read)
        if format == "json":
            _print(format, rows)
        else:
            _print_space(rows)
            _print_verdict(read)
    elif kind is None:
        _print(format, [{"kind": each, "names": ", ".join(names_of(each))} for each in KINDS])
    elif name is None and kind in KINDS:
        _print(format, _summaries(kind))
    elif name is None and not kinds_with(kind):
        _print(format, _readers(kind))
    elif name is None:
        found = find_kind(kind)
        print_line(f"{kind} is {with_article(found)}: hpo describe {found} {kind}", err=True)
        _print(format, _settings(found, kind))
    else:
        check_kind(kind, name)
        _print(format, _settings(kind, name))


def _summaries(kind: str) -> list[dict[str, Any]]:
    """What each name of a kind is, in one line."""
    from hpo.plugins import described

    names = names_of(kind)
    if kind == "augmentation":
        rows = [{kind: name, "what it is": does} for name, does in described.recipes(KINDS[kind]).items()]
        return rows + _rows([each for each in _settings_of(kind, KINDS[kind]) if each.name != kind], kind)
    return [{kind: name, "what it is": described.summary(module)} for name, module in names.items()]


def _settings(kind: str, name: str) -> list[dict[str, Any]]:
    """What a plug-in can be set to. A UserError if there is none of this name."""
    from hpo import plugins
    from hpo.plugins import described

    check_name(kind, name)
    if kind == "augmentation":
        return _rows(described.recipe_hyperparameters(KINDS[kind], name), kind)
    return _rows(_settings_of(kind, plugins.module_name(KINDS[kind], name)), kind)


def _settings_of(kind: str, module: str) -> list[Setting]:
    from hpo import plugins
    from hpo.plugins import described

    if kind in ("backend", "runner"):
        return described.build_options(module, kind)
    if kind == "tracker":
        return described.places(module)
    if kind == "dataset":
        return described.dataset_options(module)
    # A regime trains with all that every trial reads, too.
    every = described.hyperparameters(plugins.WORKER) if kind == "regime" else []
    found = {each.name: each for each in [*described.hyperparameters(module), *every]}
    return list(found.values())


def _by_hyperparameter() -> dict[str, list[tuple[str, str, Setting]]]:
    """The plug-ins that read each hyperparameter, and each option of a data set: kind, name, and what it says of it."""
    found: dict[str, list[tuple[str, str, Setting]]] = {}
    for kind in ("regime", "model", "dataset"):
        for name, module in names_of(kind).items():
            for setting in _settings_of(kind, module):
                found.setdefault(setting.name, []).append((kind, name, setting))
    return found


def _readers(typed: str) -> list[dict[str, Any]]:
    """What a hyperparameter, or an option of a data set, means, and who reads it. A UserError if nobody does."""
    known, name = _by_hyperparameter(), own_name(typed)
    if name not in known and typed.lower() in known:
        name = typed.lower()
    if name not in known and (where := elsewhere(typed)) is not None:
        raise UserError(f"{typed} is no hyperparameter: {where}")
    if name not in known:
        find_kind(typed, [*known, *foreign_names()])
    if name != typed:
        print_line(f"{typed} is called {name} here", err=True)
    by_meaning: dict[tuple[str, Setting], list[str]] = {}
    for kind, plugin, setting in known[name]:
        by_meaning.setdefault((kind, setting), []).append(plugin)
    rows = []
    for (kind, setting), plugins in by_meaning.items():
        is_every = len(plugins) == len(names_of(kind)) > 1
        who = f"every {kind}" if is_every else f"{kind}{'s' * (len(plugins) > 1)} {', '.join(plugins)}"
        rows.append({"hyperparameter": name, **_row(setting), "read by": who})
    return rows


def _rows(settings: Iterable[Setting], kind: str) -> list[dict[str, Any]]:
    """Settings as the rows of a table."""
    column = {"backend": "option", "runner": "option", "tracker": "where", "dataset": "option"}.get(
        kind, "hyperparameter"
    )
    return [{column: each.name, **_row(each)} for each in settings]


def _row(setting: Setting) -> dict[str, Any]:
    """The columns of a setting beside its name."""
    values = ", ".join(setting.values)
    meaning = f"{setting.meaning}: {values}" if setting.meaning and values else setting.meaning or values
    return {"meaning and values": meaning, "default": setting.default}


def _of_space(read: SearchSpace) -> list[dict[str, Any]]:
    """What a space reads: what it fixes, what it searches, and what it leaves at its default."""
    from hpo import plugins
    from hpo.plugins import described
    from hpo.space.values import format_value

    modules = [plugins.WORKER]
    for key, package in plugins.TASK_PACKAGES.items():
        domain, fixed = read.domains.get(key), getattr(read.task, key)
        named = getattr(domain, "choices", ()) if domain is not None else () if fixed is None else (fixed,)
        modules += [plugins.module_name(package, str(each)) for each in named]
    known = {each.name: each for module in modules for each in described.hyperparameters(module)}
    rows = []
    for name in [*read.domains, *read.fixed, *(each for each in known if each not in {**read.domains, **read.fixed})]:
        if name in read.domains:
            how, value = "searched", _in_words(read.domains[name])
        elif name in read.fixed:
            how, value = "fixed", str(format_value(read.fixed[name]))
        else:
            how, value = "default", known[name].default or ""
        meaning = known[name].meaning if name in known else ""
        rows.append({"hyperparameter": name, "how": how, "value": value, "meaning": meaning})
    return rows


def _print_space(rows: Sequence[dict[str, Any]]) -> None:
    """Print what a space searches and fixes as a table, and in a few lines below it what it leaves at defaults."""
    from hpo.results.rendering import wrap

    _print("table", [row for row in rows if row["how"] != "default"])
    defaults = [f"{row['hyperparameter']} ({row['value'] or 'none'})" for row in rows if row["how"] == "default"]
    if defaults:
        width = terminal_width() or sys.maxsize
        text = f"At their defaults: {', '.join(defaults)}."
        commands = "`hpo describe regime NAME` and `hpo describe model NAME` say what each means."
        click.echo("\n" + "\n".join(wrap(text, width, indent="  ", first="")))
        print_line(commands)


def _print_verdict(read: SearchSpace) -> None:
    """Print what a search with a valid space would say when it begins, and that the space was checked."""
    from hpo import plugins
    from hpo.results.rendering import wrap

    notices, width = plugins.notices(read), terminal_width() or sys.maxsize
    for notice in notices:
        click.echo("\n".join(wrap(notice, width, indent="  ", first="")))
    click.echo(f"The space can be searched{'; the lines above say what has no effect or may fail' if notices else ''}.")


def _in_words(domain: Domain) -> str:
    """A domain in words: its range or its choices, and when it is active."""
    from hpo.space import Categorical
    from hpo.space.values import format_value

    if isinstance(domain, Categorical):
        words = ", ".join(str(each if isinstance(each, str) else format_value(each)) for each in domain.choices)
    else:
        words = f"{domain.low:g} to {domain.high:g}{', log' if domain.log else ''}"
    when = [f"{name} is {' or '.join(map(str, values))}" for name, values in domain.when.items()]
    return f"{words}; if {' and '.join(when)}" if when else words


def _print(format: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table that fits the width of the output, or as JSON."""
    if format == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("It has nothing that can be set.")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    limit = terminal_width()
    console = Console(width=limit or UNLIMITED, highlight=False, markup=False)
    for columns, group in _by_columns(rows):
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for number, column in enumerate(columns):
            narrow = MAX_WIDTH if limit is not None and column in ("default", "value") else None
            table.add_column(column, overflow="fold", no_wrap=number == 0, max_width=narrow)
        for row in group:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        console.print(table)


def _by_columns(rows: Sequence[dict[str, Any]]) -> list[tuple[list[str], list[dict[str, Any]]]]:
    """Rows in groups of those with the same columns."""
    groups: list[tuple[list[str], list[dict[str, Any]]]] = []
    for row in rows:
        if not groups or groups[-1][0] != list(row):
            groups.append((list(row), []))
        groups[-1][1].append(row)
    return groups
