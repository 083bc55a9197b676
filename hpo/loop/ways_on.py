"""The commands with which a study goes on after an error."""

from __future__ import annotations

from hpo.errors import HpoError
from hpo.record import STUDY_FILE, StudyFolder
from hpo.record.resuming import how_to_resume


def with_commands(error: HpoError, study: StudyFolder) -> HpoError:
    """Return an error with the commands, or calls, of its `go_on_with`, if the study still exists."""
    if not error.go_on_with or not (study.folder / STUDY_FILE).exists():
        return error
    commands = [how_to_resume(study, option) for option in error.go_on_with]
    ways = " or ".join([", ".join(commands[:-1]), commands[-1]] if len(commands) > 1 else commands)
    return type(error)(f"{error}; go on with {ways}")
