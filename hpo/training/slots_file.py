"""The slots of a search that runs on several machines, as a file beside the checkpoints, for `hpo status`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FILE = "slots.json"
"""The name of the file, which is in the folder of the study."""


class SlotCount(NamedTuple):
    """The slots on one machine."""

    slots: int
    training: int
    """How many of them train a trial."""


def write(checkpoints: Path, counts: Mapping[str, SlotCount]) -> None:
    """Write the slots by the name of the machine. If the disk is full, the file is not written."""
    path = checkpoints.with_name(FILE)
    temporary = path.with_name(f".{FILE}.tmp")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(counts))
        os.replace(temporary, path)


def read(checkpoints: Path) -> dict[str, SlotCount]:
    """Return the slots by the name of the machine. Empty if the runner of the search writes no such file."""
    try:
        return {str(host): SlotCount(*map(int, each)) for host, each in json.loads(_text(checkpoints)).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remove(checkpoints: Path) -> None:
    """Delete the file, because the search has ended."""
    checkpoints.with_name(FILE).unlink(missing_ok=True)


def _text(checkpoints: Path) -> str:
    return checkpoints.with_name(FILE).read_text(encoding="utf-8")
