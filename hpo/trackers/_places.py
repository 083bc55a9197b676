"""Checks of the folders that trackers write into, before a search begins."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hpo.errors import UserError


def absolute_folder(kind: str, text: str) -> Path:
    """The absolute path of a folder that a tracker writes into. It need not exist, and is not made.

    Raises a UserError if this machine cannot make the folder or write into it.
    """
    created: list[Path] = []
    try:
        folder = Path(text).expanduser().absolute()
        created = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError, RuntimeError) as error:  # also a character that no path has, and an unknown ~user
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"tracker {kind}: the folder {text} cannot be written: {reason}") from None
    finally:
        for path in created:
            with contextlib.suppress(OSError, ValueError):
                path.rmdir()
    return folder
