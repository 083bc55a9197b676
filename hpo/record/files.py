"""The files in a study's folder: their names, which of them stay out of git, and atomic text writes."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path

from hpo.errors import MachineError

STUDY_FILE = "study.yaml"
"""The settings of the study. A folder with this file is a study."""
LEDGER_FILE = "ledger.log"
"""The journal, unless the record lies in another storage."""
CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints of the search."""
RETRAINED = "retrained"
"""The folder of the checkpoints of a test that is running."""
TEST_FILE = "test.json"
"""The test results."""
MISCLASSIFIED = "misclassified.npz"
"""The images that the best tested trial classifies wrongly; `trainables.inspection.misclassified` describes the arrays."""
FIGURES = "figures"
"""The folder of the figures."""
IGNORED = "".join(f"/{name}\n" for name in ("lock", LEDGER_FILE, CHECKPOINTS, RETRAINED, FIGURES, MISCLASSIFIED))
"""A study's own `.gitignore`: what belongs to the machine that made the study, or holds images of the data set."""


def command(verb: str, folder: Path, *words: str, hpo: str = "hpo") -> str:
    """The command to type for a study; `hpo` is how the program is called."""
    where = [] if folder.parent == Path("studies") else [f"--studies {shlex.quote(str(folder.parent))}"]
    return " ".join([hpo, verb, folder.name, *words, *where])


def keep_out_of_git(folder: Path) -> None:
    """Write the `.gitignore` of a study, unless the user has one there."""
    if not (folder / ".gitignore").exists():
        write_text(folder / ".gitignore", IGNORED)


def let_into_git(folder: Path) -> None:
    """Delete the `.gitignore` of a study; one that the user wrote stays."""
    with contextlib.suppress(OSError, ValueError):
        if (folder / ".gitignore").read_text(encoding="utf-8") == IGNORED:
            (folder / ".gitignore").unlink()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; a MachineError where it cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise MachineError(f"{path}: cannot be written: {error}") from None
