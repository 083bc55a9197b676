"""An objective that is a function of the user: loading it, the check of what it returns, and its digest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hpo import plugins
from hpo.errors import UserError, line_in, reason
from hpo.space import SearchSpace
from hpo.space.objectives import own_function
from hpo.training.metrics import number, short
from hpo.training.user_code import digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from trainables.own_metric import OwnMetric


def objective_digest(space: SearchSpace) -> str | None:
    """The `digest` of the function that is the objective of a space. None if the objective is none.

    Raises a UserError if the function cannot be imported.
    """
    function = plugins.objectives.load(space)
    return None if function is None else digest(function)


def own_metric(space: SearchSpace) -> OwnMetric | None:
    """The metric of the function that is the objective of a space. None if the objective is none.

    Raises a UserError if the function cannot be imported.
    """
    from trainables.own_metric import OwnMetric

    function, own = plugins.objectives.load(space), own_function(space.objective)
    return None if function is None or own is None else OwnMetric(own.name, _Checked(space.objective, function))


def on_arrays(space: SearchSpace) -> Callable[[NDArray[np.floating], NDArray[np.int64]], float]:
    """Return the function that is the objective of a space, for logits (n, n_classes) and labels (n,) as arrays.

    It raises a UserError if it raises an error or returns no number, and so does this function if it cannot be
    imported. The objective must be a function of the user.
    """
    from trainables.errors import SetupError

    metric = own_metric(space)
    assert metric is not None, "the objective is a function of the user"

    def compute(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
        try:
            return metric.of_arrays(logits, labels)
        except SetupError as error:
            raise UserError(str(error)) from error

    return compute


class _Checked:
    """The function of the user. Its errors name it, and so does the error about a result that is no number."""

    def __init__(self, objective: str, function: Callable[..., Any]) -> None:
        self._objective = objective
        self._function = function

    def __call__(self, logits: Tensor, labels: Tensor) -> float:
        """Return the number that the function returns.

        Returns NaN if it raises an error and a logit is not finite, because the training has diverged. Raises a
        SetupError for any other error, and if it returns no number.
        """
        from trainables.errors import SetupError

        try:
            returned = self._function(logits, labels)
            value = number(returned)
        except (Exception, SystemExit) as error:
            if not bool(logits.isfinite().all()):
                return math.nan
            raise SetupError(f"objective {self._objective} raised {self._described(error)}") from error
        if value is None:
            raise SetupError(
                f"objective {self._objective} returned {short(returned)}{_shape(returned)}: it must return one number, "
                "which is minimised"
            )
        return value

    def _described(self, error: BaseException) -> str:
        """The kind and the text of an error, and the line of the function's file that raised it."""
        code = getattr(self._function, "__code__", None)
        where = "" if code is None else f" ({code.co_filename}:{line_in(code.co_filename, error)})"
        return f"{type(error).__name__}: {reason(error)}{where}"


def _shape(value: object) -> str:
    """The shape of a tensor or an array, in words. Empty for anything else."""
    shape = getattr(value, "shape", None)
    return "" if shape is None else f" of shape {tuple(shape)}"
