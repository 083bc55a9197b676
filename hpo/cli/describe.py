"""The command describe: what can be set, and to what."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from hpo.cli import completion
from hpo.cli.completion import KINDS, names_of
from hpo.cli.options import check_format
from hpo.errors import UnknownName, UserError

if TYPE_CHECKING:
    from hpo.plugins.described import Setting
    from hpo.space import Domain

FORMATS = ("table", "json")
MAX_WIDTH = 24
"""The widest column of values, in characters: the meanings need the room."""


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
    hpo describe --space my_flowers.yaml     what a space reads
    """
    check_format(format, FORMATS)
    if space is not None:
        if kind is not None:
            raise UserError("--space describes a space: leave the kind out")
        rows = _of_space(space)
        if format == "json":
            _print(format, rows)
        else:
            _print_space(rows)
    elif kind is None:
        _print(format, [{"kind": each, "names": ", ".join(names_of(each))} for each in KINDS])
    else:
        if kind not in KINDS:
            raise UnknownName("kind", kind, KINDS)
        _print(format, _summaries(kind) if name is None else _settings(kind, name))


def _summaries(kind: str) -> list[dict[str, Any]]:
    """What each name of a kind is, in one line."""
    from hpo.plugins import described

    if kind == "augmentation":
        return [{"augmentation": name} for name in names_of(kind)] + _rows(_settings_of(kind, KINDS[kind]), kind)
    return [{kind: name, "what it is": described.summary(module)} for name, module in names_of(kind).items()]


def _settings(kind: str, name: str) -> list[dict[str, Any]]:
    """What a plug-in can be set to. An UnknownName if there is none of this name."""
    from hpo import plugins

    if kind == "augmentation":
        if name not in names_of(kind):
            raise UnknownName(kind, name, names_of(kind))
        module = KINDS[kind]
    else:
        module = plugins.module_name(KINDS[kind], name)
    return _rows(_settings_of(kind, module), kind)


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


def _of_space(space: str) -> list[dict[str, Any]]:
    """What a space reads: what it fixes, what it searches, and what it leaves at its default."""
    from hpo import plugins, spacefile
    from hpo.plugins import described
    from hpo.space.values import format_value

    read = spacefile.read(spacefile.find(space))
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
        width = shutil.get_terminal_size((80, 24)).columns
        text = f"At their defaults: {', '.join(defaults)}."
        commands = "`hpo describe regime NAME` and `hpo describe model NAME` say what each means."
        for line in ["", *wrap(text, width, indent="  ", first=""), commands]:
            click.echo(line)


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
    """Print rows as a table as wide as the terminal, or as JSON."""
    if format == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("It has nothing that can be set.")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(width=shutil.get_terminal_size((80, 24)).columns, highlight=False, markup=False)
    for columns, group in _by_columns(rows):
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for number, column in enumerate(columns):
            narrow = MAX_WIDTH if column in ("default", "value") else None
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
