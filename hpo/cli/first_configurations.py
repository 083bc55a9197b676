"""The options of `hpo search` that name configurations to try first: --try, --from and --top."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hpo.errors import SpaceError, UserError

if TYPE_CHECKING:
    from hpo.space import SearchSpace
    from hpo.trial import Config

F = TypeVar("F", bound=Callable[..., Any])

TOP = 5
FORM = "write it as name=value,name=value, each name once, or name a CSV file"
"""The default of --top."""


def first_configuration_options(verb: F) -> F:
    """--try, --from and --top."""
    top = click.option("--top", type=click.IntRange(1), help=f"With --from: how many of the best; {TOP} by default.")
    study = click.option("--from", "source", metavar="STUDY", help="Try the best trials of another study first.")
    text = "A configuration to try first, lr=1e-3,optimizer=adamw, or a CSV file of them, as `hpo export` writes it."
    tried = click.option("--try", "tried", multiple=True, metavar="CONFIG", help=text)
    return tried(study(top(verb)))


def first_configurations(
    space: SearchSpace, tried: tuple[str, ...], source: str | None, top: int | None, studies: Path
) -> list[Config]:
    """The configurations that --try and --from name, in this order.

    The best trials of --from that do not lie in the space are named on standard error. Raises UserError if an option is
    wrong.
    """
    from hpo.record import StudyFolder, find_folder
    from hpo.results.known_configurations import best_of, read_csv

    if top is not None and source is None:
        raise UserError("--top: belongs to --from STUDY")
    configs = []
    for text in tried:
        if "=" in text and not Path(text).is_file():
            configs.append(_configuration(space, text))
        elif Path(text).is_file() or Path(text).suffix:
            configs += read_csv(Path(text), space)
        else:
            raise UserError(f"--try {text}: {FORM}")
    if source is not None:
        study = StudyFolder.reopen(find_folder(source, studies))
        best, lines = best_of(study, space, top or TOP)
        configs += best
        for line in lines:
            click.echo(line, err=True)
    return configs


def _configuration(space: SearchSpace, text: str) -> Config:
    """The configuration that is written as name=value,name=value."""
    from hpo.space.given_values import with_defaults
    from hpo.spacefile import yaml_text

    given: dict[str, object] = {}
    for part in re.split(r",(?=\s*[\w.]+\s*=)", text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        parsed = yaml_text.parse_value(value)
        if not equals or not name or not value or parsed.mistakes or name in given:
            raise UserError(f"--try {text}: {FORM}")
        given[name] = parsed.value
    try:
        return with_defaults(space, given)
    except SpaceError as error:
        raise UserError(f"--try {text}: {error}") from None
