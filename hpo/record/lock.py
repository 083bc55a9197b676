"""The folder of a study (floor 3): what is in it, its lock, its `.gitignore`, and files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from hpo.errors import MachineError, StudyError

RETRAINED = "retrained"
"""The folder, in that of a study, for the checkpoints of a test that is under way."""
MISCLASSIFIED = "misclassified.npz"
"""The file, in a study's folder, of what the best trial gets wrong; see `inspection.mistakes` for its arrays."""
FIGURES = "figures"
"""The folder, in that of a study, for its figures."""
IGNORED = "".join(f"/{name}\n" for name in ("lock", "ledger.log", "checkpoints", RETRAINED, FIGURES, MISCLASSIFIED))
"""A study's own `.gitignore`: what belongs to the machine that made the study, or holds images of the data set."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a study's folder, made if need be, against every other process; a killed process lets go of it."""
    fresh = [path for path in (folder, folder.parent) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / "lock", timeout=0)
        held.acquire()
        for left_behind in folder.glob(".*.tmp"):
            left_behind.unlink()
    except Timeout:
        raise locked(folder) from None
    except OSError as error:
        raise MachineError(f"{folder}: the study's folder cannot be made or written: {error}") from None
    try:
        yield
    finally:
        held.release()
        if fresh and not (folder / "study.yaml").exists():
            with contextlib.suppress(OSError):  # what is not empty stays
                (folder / "lock").unlink(missing_ok=True)
                for path in fresh:
                    path.rmdir()


def command(verb: str, folder: Path, *words: str, hpo: str = "hpo") -> str:
    """The command to type for a study where it lies; `hpo` is how the program is called."""
    where = [] if folder.parent == Path("studies") else [f"--studies {shlex.quote(str(folder.parent))}"]
    return " ".join([hpo, verb, folder.name, *words, *where])


def locked(folder: Path) -> StudyError:
    """The error for a study that another process holds."""
    return StudyError(
        f"study {folder.name!r} is being searched or tested by another process; "
        f"`{command('status', folder)}` shows how far it is"
    )


def is_locked(folder: Path) -> bool:
    """Whether a process holds the study."""
    if not (folder / "lock").exists():
        return False
    held = FileLock(folder / "lock", timeout=0)
    try:
        held.acquire()
    except Timeout:
        return True
    held.release()
    return False


def keep_out_of_git(folder: Path) -> None:
    """Write the `.gitignore` of a study, where the user has none there."""
    if not (folder / ".gitignore").exists():
        write_text(folder / ".gitignore", IGNORED)


def let_into_git(folder: Path) -> None:
    """Delete the `.gitignore` of a study; one of the user's stays."""
    with contextlib.suppress(OSError, ValueError):
        if (folder / ".gitignore").read_text(encoding="utf-8") == IGNORED:
            (folder / ".gitignore").unlink()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise MachineError(f"{path}: cannot be written: {error}") from None
