"""The objectives of a search, the metrics that they stand for, and the columns of the results.

An objective is `val_loss`, an error (1 minus a metric), or a function of your own on the logits and labels of the
validation part, as `package.module:function`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hpo.errors import nearest
from hpo.space.values import format_value
from hpo.trial import PEAKS

ERRORS = {
    "val_error": "val_accuracy",
    "val_balanced_error": "val_balanced_accuracy",
    "val_f1_error": "val_f1",
    "val_auroc_error": "val_auroc",
    "val_top5_error": "val_top5_accuracy",
}
"""The objectives that are 1 minus a metric, with this metric."""
OBJECTIVES = ("val_loss", *ERRORS)

METRICS = ("train_loss", "train_accuracy", "val_loss", *ERRORS.values())
TESTS = ("test_accuracy", "test_accuracy_std", "test_loss", "test_seeds")
OTHER_TESTS = tuple(f"test_{metric.removeprefix('val_')}" for metric in ERRORS.values() if metric != "val_accuracy")
"""The metrics on held-out data beside loss and accuracy."""
RESERVED_NAMES = frozenset(
    (
        *METRICS,
        *TESTS,
        *OTHER_TESTS,
        "trial",
        "state",
        "loss",
        "loss_low",
        "loss_high",
        "as_good",
        "interval",
        "stopping_epoch",
        "epochs",
        "bracket",
        "seconds",
        *PEAKS,
        "error",
    )
)
"""The columns of the table of a study. A hyperparameter cannot have one of these names."""
EXAMPLE = "package.module:function"


@dataclass(frozen=True)
class OwnFunction:
    """An objective that is a function of the user: the part before its colon, and the name of the function."""

    module: str
    """`package.module`, or the name or path of a Python file."""
    name: str
    """The name of the function. The metric is called `val_NAME`, and `test_NAME` on held-out data."""

    @property
    def columns(self) -> tuple[str, str]:
        """The names of its values on the validation part and on held-out data."""
        return f"val_{self.name}", f"test_{self.name}"


def own_function(objective: object) -> OwnFunction | None:
    """Return the function of the user that an objective names. None if it names none."""
    module, colon, name = objective.rpartition(":") if isinstance(objective, str) else ("", "", "")
    is_module = module.endswith(".py") or all(part.isidentifier() for part in module.split("."))
    return OwnFunction(module, name) if colon and is_module and name.isidentifier() else None


def metric_of(objective: str) -> str:
    """Return the name of the metric that an objective minimises: its key in the metrics of an epoch."""
    own = own_function(objective)
    return objective if own is None else own.columns[0]


def searched_metric(objective: str) -> str | None:
    """Return the metric that a search is about, without `val_`: `balanced_accuracy`, or the name of your own function.

    None for `val_loss` and `val_error`, because loss and accuracy are reported in any case.
    """
    if objective in ("val_loss", "val_error"):
        return None
    return ERRORS.get(objective, metric_of(objective)).removeprefix("val_")


def own_columns(objective: str) -> tuple[str, ...]:
    """Return the columns that an objective adds to the table of a study: none, unless it is a function of the user."""
    own = own_function(objective)
    return () if own is None else own.columns


def _nearest_objective(name: str) -> str:
    """The end of a message about an unknown objective. A metric, such as `val_f1` or `f1`, stands for its error."""
    for error, metric in ERRORS.items():
        if name in (metric, metric.removeprefix("val_")):
            return f"; did you mean {error!r} (1 - {metric})? (allowed: {', '.join(sorted(OBJECTIVES))})"
    return nearest(name, OBJECTIVES)


def objective_problems(objective: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """The problems of the form of an objective, and of the name of its metric. See `rules.Problem`.

    `hpo.plugins.objectives` checks that the function exists.
    """
    own = own_function(objective)
    if own is None and objective not in OBJECTIVES:
        is_close = isinstance(objective, str) and ":" in objective
        hint = "" if is_close else _nearest_objective(str(objective))
        what = "is no function" if is_close else "is unknown"
        yield ("objective",), f"{format_value(objective)} {what}{hint}; a function of your own is named {EXAMPLE}"
    elif own is not None:
        taken = {*RESERVED_NAMES, *OBJECTIVES, "val_accuracy_std"}
        for column in own.columns:
            if column in taken:
                reason = f"its metric would be called {column}, which is another one: give the function another name"
                yield ("objective",), f"{format_value(objective)}: {reason}"
                return
