"""The commands with which a study goes on after an error."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import HpoError
from hpo.record import STUDY_FILE, command


def with_commands(error: HpoError, folder: Path) -> HpoError:
    """Return an error with the commands of its `go_on_with`, if there is a study in `folder` that can go on."""
    if not error.go_on_with or not (folder / STUDY_FILE).exists():
        return error
    commands = [f"`{command('resume', folder, *filter(None, [words]))}`" for words in error.go_on_with]
    ways = " or ".join([", ".join(commands[:-1]), commands[-1]] if len(commands) > 1 else commands)
    return type(error)(f"{error}; go on with {ways}")
