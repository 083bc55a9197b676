"""Objectives that are functions of the user: whether the function exists, and loading it.

The function is named `package.module:function`, or `file:function` for a Python file beside the space or in the working
directory. Only `load` imports the module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hpo.plugins import own_functions
from hpo.space import SearchSpace
from hpo.space.objectives import own_function
from hpo.space.rules import Problem

OBJECTIVE = own_functions.Kind("an objective", "(logits, labels)")


def problems(objective: object, folders: Sequence[Path], file: str | None = None) -> Iterator[Problem]:
    """The problem of an objective that is a function of the user, if it has one. Its module is not imported.

    See `own_functions.problem`.
    """
    own = own_function(objective)
    text = None if own is None else own_functions.problem(own, OBJECTIVE, folders, file)
    if text is not None:
        yield ("objective",), f"{objective}: {text}"


def load(space: SearchSpace) -> Callable[..., Any] | None:
    """Import the function that is the objective of a space. Returns None if the objective is none.

    `SearchSpace.located` must have looked for its file. Raises a UserError if its module cannot be imported, or if
    there is no such function.
    """
    own = own_function(space.objective)
    return None if own is None else own_functions.load(own, space.objective_file, f"objective {space.objective}")
