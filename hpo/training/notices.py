"""Notices of the training code about a task, such as how a weights file was read.

`trainables` logs them as warnings. A worker writes them into a file beside the checkpoints, each once, so that the
process that searches can show them.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from trainables.errors import printable

LOGGER = "trainables"
FILE = "notices.txt"


def read(checkpoints: Path) -> list[str]:
    """Return the notices of a study, in the order in which they came."""
    try:
        lines = (checkpoints / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(lines))  # two workers may have written the same notice at the same time


def add(checkpoints: Path, lines: Iterable[str]) -> None:
    """Add notices that are not in the file yet. Those that cannot be written are left out."""
    new = list(dict.fromkeys(lines))
    if not new or not (new := [line for line in new if line not in read(checkpoints)]):
        return
    with contextlib.suppress(OSError):
        checkpoints.mkdir(parents=True, exist_ok=True)
        with (checkpoints / FILE).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in new)


@contextlib.contextmanager
def recorded(checkpoints: Path) -> Iterator[None]:
    """Write the notices that this thread logs in the `with` block into the file."""
    handler = _FileHandler(checkpoints)
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _FileHandler(logging.Handler):
    """Appends each warning to the file, unless it is there. A notice that cannot be written is left out."""

    def __init__(self, checkpoints: Path) -> None:
        super().__init__(logging.WARNING)
        self._checkpoints = checkpoints
        self._thread = threading.get_ident()
        self.addFilter(lambda record: record.thread == self._thread)  # another thread may train another study

    def emit(self, record: logging.LogRecord) -> None:
        add(self._checkpoints, [printable(" ".join(record.getMessage().splitlines()))])
