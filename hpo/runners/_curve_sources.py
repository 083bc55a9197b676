"""Where the curves of a simulated search come from: a table in a CSV file, or a function of the user.

A function is named `package.module:function`, or `file:function` for a Python file in the working directory. It takes
the configuration and the epoch, counted from 1, and returns the metrics after this epoch.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hpo.errors import UserError, shortened
from hpo.plugins import own_functions
from hpo.runners._curve_table import CurveTable
from hpo.runners._known_trials import Curves, KnownCurves, KnownTrials, UserCurves
from hpo.space import SearchSpace
from hpo.space.objectives import OwnFunction, own_function
from hpo.space.python_file import python_file
from hpo.training import user_code

FORMS = "a CSV file of learning curves, or a function, as package.module:function"
CURVES = own_functions.Kind("a function of curves", "(config, epoch)")


def located(source: str, folder: Path) -> str:
    """Return a source with an absolute path. Relative ones, and Python files, are looked for in `folder`.

    Raises a UserError if it is neither an existing file nor an existing function.
    """
    own = _function(source)
    if own is None:
        path = folder / os.path.expanduser(source)
        if not os.path.isfile(path):  # other than `Path.is_file`, it takes names that are too long
            raise UserError(f"curves {shortened(source)}: there is no such file; give {FORMS}")
        return str(path.absolute())
    if os.path.isabs(own.module) and not os.path.isfile(own.module):
        raise UserError(
            f"curves {source}: there is no file {own.module}; bring it back, or name its new place as `curves`"
        )
    if (problem := own_functions.problem(own, CURVES, [folder])) is not None:
        raise UserError(f"curves {source}: {problem}")
    file = python_file(own.module, [folder])
    return source if file is None else f"{file}:{own.name}"


def digest(source: str) -> str:
    """A hash of the table, or of the function's code, 16 hexadecimal digits. `source` is that of `located`.

    Raises a UserError if the table cannot be read, or if the function cannot be imported.
    """
    own = _function(source)
    if own is not None:
        return user_code.digest(_load(own, source))
    try:
        return hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"curves {source}: cannot be read: {error.strerror}") from None


def load(source: str, space: SearchSpace) -> KnownTrials:
    """Load the curves of a source. Raises a UserError if they do not fit the space, or cannot be loaded."""
    own = _function(source)
    if own is not None:
        return Curves(space, UserCurves(source, _load(own, source)))
    table = CurveTable(Path(source), space)
    return Curves(space, KnownCurves(table.metrics, table.seconds))


def _function(source: str) -> OwnFunction | None:
    """The function that a source names. None if it is the path of a table."""
    return None if Path(source).suffix.lower() == ".csv" else own_function(source)


def _load(own: OwnFunction, source: str) -> own_functions.Function:
    file = own.module if own.module.endswith(".py") else None
    return user_code.uncached(own_functions.load(own, file, f"curves {source}"))
