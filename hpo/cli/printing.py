"""What several commands print: a table that fits the output, and the next command to type."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.output_width import output_width

if TYPE_CHECKING:
    from pandas import DataFrame

    from hpo.record import StudyFolder


def next_command(verb: str, folder: Path, *arguments: str) -> str:
    """The command line to type next. It holds the full path of `hpo` if `hpo` is not on PATH."""
    from hpo.record import command

    script = Path(sys.argv[0])
    hpo = shlex.quote(str(script)) if script.name == "hpo" and shutil.which("hpo") is None else "hpo"
    return command(verb, folder, *arguments, hpo=hpo)


def print_table(frame: DataFrame, study: StudyFolder) -> None:
    """Print a table of trials that fits the width of the output.

    A line below it says what the column `loss` is, if the table has it.
    """
    from hpo.results import table_text
    from hpo.results.tables import loss_line, short

    objective = study.space.objective
    click.echo(table_text(frame, list(study.space.domains), terminal_width(), objective))
    line = None if frame.empty else loss_line(short(frame, study.space.domains, objective), objective)
    if line is not None:
        print_line(line)


def print_line(line: str, *, err: bool = False, indent: int | None = None) -> None:
    """Print a line to stdout, or to stderr. Where it is wider than the output may be, it is broken between its words.

    Further lines stand `indent` characters from the left, or else two more than the first.
    """
    width = terminal_width(err=err)
    broken = [line]
    if width is not None and len(line) > width:
        from hpo.results.rendering import wrap

        first = line[: len(line) - len(line.lstrip())]
        further = f"{first}  " if indent is None else " " * indent
        broken = wrap(line.strip(), width, indent=further, first=first)
    for each in broken:
        click.echo(each, err=err)


def print_command(words: str, command: str) -> None:
    """Print a command to type next to stderr, after some words. It stands in a line of its own if both do not fit."""
    width = terminal_width(err=True)
    fits = width is None or len(words + command) <= width
    click.echo(words + command if fits else f"{words.rstrip()}\n  {command}", err=True)


def terminal_width(*, err: bool = False) -> int | None:
    """The width of the lines of stdout, or stderr, in characters. None if there is no limit: see `output_width`."""
    return output_width(sys.stderr if err else sys.stdout)
