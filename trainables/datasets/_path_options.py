"""Options of data sets that are paths of files or folders."""

from __future__ import annotations

import os
from pathlib import Path

from trainables.errors import SetupError
from trainables.hyperparameters import Scalar


def read_path(root: Path | None, option: str, given: Scalar, content: str) -> Path:
    """Return the path that the option `dataset.<option>` of a data set gives. A relative one is a path in `root`.

    `root` is the folder of all data sets, or None without one. `content` says what the option must give, for messages.
    Raises SetupError if `given` is no path, or if it is relative and `root` is None.
    """
    if not isinstance(given, str) or not given:
        raise SetupError(f"`dataset.{option}` {'is missing' if given is None else f'is {given!r}'}: give {content}")
    path = Path(os.path.expanduser(given))  # other than `Path.expanduser`, it leaves an unknown user name as it is
    if path.is_absolute():
        return path
    if root is None:
        raise SetupError(
            f"`dataset.{option}` must be an absolute path where no folder of data sets is given: {given!r}"
        )
    return root / path
