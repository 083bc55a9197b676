"""How wide the output may be: the width of the terminal, or that of the variable COLUMNS.

Output that goes to a file or into a pipe has no limit, so that each row of a table is one line for `grep` and `awk`.
COLUMNS sets a limit for it, too, as `watch` does.
"""

from __future__ import annotations

import os
import shutil
from typing import TextIO


def output_width(stream: TextIO) -> int | None:
    """The width of the lines of `sys.stdout` or `sys.stderr`, in characters. None if there is no limit."""
    if (columns := os.environ.get("COLUMNS", "")).isdecimal() and int(columns):
        return int(columns)
    return shutil.get_terminal_size().columns if stream.isatty() else None
