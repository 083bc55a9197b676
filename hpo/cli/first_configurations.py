"""The options of `hpo search` that name configurations to try first: --try, --from and --top."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hpo.cli import completion
from hpo.errors import SpaceError, UserError, shortened

if TYPE_CHECKING:
    from hpo.loop import Earlier
    from hpo.space import SearchSpace
    from hpo.trial import Config

F = TypeVar("F", bound=Callable[..., Any])

FORM = "write it as name=value,name=value, each name once, or name a CSV file"


def first_configuration_options(verb: F) -> F:
    """--try, --from and --top."""
    text = "With --from: how many of its best trials to try first; 5 by default, freeze_thaw chooses itself."
    top = click.option("--top", type=click.IntRange(1), help=text)
    text = "Learn from an earlier study (freeze_thaw), or try its best trials first (other backends)."
    study = click.option("--from", "source", metavar="STUDY", shell_complete=completion.studies, help=text)
    text = "A configuration to try first, lr=1e-3,optimizer=adamw, or a CSV file of them, as `hpo export` writes it."
    tried = click.option("--try", "tried", multiple=True, metavar="CONFIG", help=text)
    return tried(study(top(verb)))


def first_configurations(space: SearchSpace, tried: tuple[str, ...]) -> list[Config]:
    """The configurations that --try names. Raises UserError if one is wrong."""
    from hpo.results.known_configurations import read_csv

    configs = []
    for text in tried:
        is_file = os.path.isfile(text)  # other than `Path.is_file`, it takes names that are too long
        if "=" in text and not is_file:
            configs.append(_configuration(space, text))
        elif is_file or Path(text).suffix:
            configs += read_csv(Path(text), space)
        else:
            raise UserError(f"--try {shortened(text)}: {FORM}")
    return configs


def earlier_study(source: str | None, top: int | None, studies: Path) -> Earlier | None:
    """The earlier study that --from and --top name. None without --from. Raises UserError for --top without --from."""
    from hpo.loop import Earlier
    from hpo.record import find_folder

    if source is None:
        if top is not None:
            raise UserError("--top: belongs to --from STUDY")
        return None
    return Earlier(find_folder(source, studies), top)


def _configuration(space: SearchSpace, text: str) -> Config:
    """The configuration that is written as name=value,name=value."""
    from hpo.space.given_values import with_defaults
    from hpo.spacefile import yaml_text

    given: dict[str, object] = {}
    for part in re.split(r",(?=\s*[\w.]+\s*=)", text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        parsed = yaml_text.parse_value(value)
        if not equals or not name or not value or parsed.mistakes or name in given:
            raise UserError(f"--try {shortened(text)}: {FORM}")
        given[name] = parsed.value
    try:
        return with_defaults(space, given)
    except SpaceError as error:
        raise UserError(f"--try {shortened(text)}: {error}") from None
