"""How sure the results of a search are, in words for a terminal, and as columns of the table of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.results.confidence import Confidence
from hpo.space.objectives import ERRORS
from hpo.statistics import Interval

if TYPE_CHECKING:
    from pandas import DataFrame

N_NAMED = 10
"""The largest number of trials that a line names."""
MARK = "="
"""It marks the trials that cannot be told apart from the best, in the column `interval` of a terminal."""
COLUMNS = ("loss_low", "loss_high", "as_good")
"""The columns of `with_intervals`."""


def status_lines(known: Confidence) -> list[str]:
    """Describe the best trial: its estimate on new images, its folds, and the trials that may be as good.

    The last line says what to do if the choice is a lottery.
    """
    text = [f"expect   {_estimate_words(known)}"]
    if known.folds:
        values = ", ".join(f"{value:.3g}" for value in known.folds)
        text.append(f"folds    {known.objective} of the best in each: {values}")
    text.append(f"as good  {_as_good_words(known)}")
    text += [f"         {line}" for line in _compared_lines(known)]
    if known.is_lottery:
        text.append(f"lottery  {known.advice}")
    return text


def table_lines(known: Confidence) -> list[str]:
    """Explain the column `interval` of the table of the best, and describe the best trial as `status_lines` does."""
    explained = (
        f"interval: the 95 % interval of {known.objective} on new images, from {known.n_images} validation images"
    )
    if known.best_interval is not None:
        explained += "; that of the best allows for its having been chosen"
    marked = f" {MARK} marks trials that cannot be told apart from the best." if known.best in known.intervals else ""
    text = [f"{explained}.{marked}", *_compared_lines(known), f"Trial {known.best}: expect {_estimate_words(known)}."]
    if known.folds:
        text.append(f"Over its {len(known.folds)} folds: {min(known.folds):.3g} to {max(known.folds):.3g}.")
    if known.is_lottery:
        text.append(f"The choice is a lottery: {known.advice}")
    return text


def _compared_lines(known: Confidence) -> list[str]:
    """A line that says how many trials are compared, unless all are."""
    n = len(known.compared)
    return [f"Only {n} of {known.n_searched} trials are compared."] if known.n_searched > n else []


def _estimate_words(known: Confidence) -> str:
    """The estimate of the best trial on new images, or why there is none."""
    if known.corrected is None or known.best_interval is None:
        return f"no estimate: {known.uncorrected_because}, so the luck of being the best cannot be taken off"
    low, high = known.best_interval
    words = f"{known.objective} {known.corrected:.3g} on new images (95 % interval {low:.3g} to {high:.3g})"
    n, n_with_epochs = len(known.compared), known.n_with_epochs
    is_same = f"{known.corrected:.3g}" == f"{known.recorded:.3g}"
    taken_off = f"taken off{', which changes nothing here' * is_same}"
    if n == 1:
        return f"{words}: the luck of the best epoch is {taken_off if n_with_epochs else 'not taken off'}"
    if n == n_with_epochs:
        return f"{words}: the luck of being the best of {n} trials, each at its best epoch, is {taken_off}"
    of_epoch = f"only for {n_with_epochs} of them" if n_with_epochs else "not"
    return f"{words}: the luck of being the best of {n} trials is {taken_off}; that of the best epoch is {of_epoch}"


def _as_good_words(known: Confidence) -> str:
    """How many trials cannot be told apart from the best, and the first of them."""
    if known.best not in known.intervals:
        return "not known: the predictions of the best trial are missing"
    n, n_others = len(known.as_good), len(known.compared) - 1
    among = f"the {n_others} others" if known.n_searched - 1 == n_others else f"the {n_others} others that are compared"
    if not n:
        return f"none of {among}: the best is told apart from each" if n_others else "no other trial to compare"
    return f"{n} of {among} cannot be told apart from the best: {_numbers(known.as_good)}"


def _numbers(trials: Sequence[int]) -> str:
    """The numbers of trials, the first of them if they are many."""
    more = f" and {len(trials) - N_NAMED} more" if len(trials) > N_NAMED else ""
    return ", ".join(map(str, trials[:N_NAMED])) + more


def with_intervals(frame: DataFrame, known: Confidence | None) -> DataFrame:
    """Return the table of a study with the limits of the 95 % interval of each trial, behind `loss`.

    `as_good` says whether a trial cannot be told apart from the best, and is true for the best itself. Cells of trials
    that were not compared are empty. Without `known` the table is returned as it is.
    """
    import pandas as pd

    if known is None:
        return frame
    missing = Interval(float("nan"), float("nan"))
    limits = {**known.intervals, known.best: known.best_interval or missing}
    compared = known.compared if known.best in known.intervals else ()
    near = {known.best, *known.as_good}
    of_rows = [limits.get(int(trial), missing) for trial in frame["trial"]]
    result = frame.copy()
    at = list(map(str, frame)).index("loss") + 1
    result.insert(at, "loss_low", [limit.low for limit in of_rows])
    result.insert(at + 1, "loss_high", [limit.high for limit in of_rows])
    is_near = [int(trial) in near if int(trial) in compared else pd.NA for trial in frame["trial"]]
    result.insert(at + 2, "as_good", pd.Series(is_near, frame.index, dtype="boolean"))
    return result


def with_interval_text(frame: DataFrame, known: Confidence | None) -> DataFrame:
    """Return the table of a study with the column `interval` for a terminal, in place of those of `with_intervals`.

    The cell of a trial whose interval is not known is empty.
    """
    import pandas as pd

    if known is None:
        return frame
    found = with_intervals(frame, known)
    texts = [
        float("nan") if low != low else f"{_short(low, known)}..{_short(high, known)}{_mark(int(trial), known)}"
        for trial, low, high in zip(found["trial"], found["loss_low"], found["loss_high"], strict=True)
    ]
    result = frame.copy()
    at = list(map(str, frame)).index("loss") + 1
    result.insert(at, "interval", pd.Series(texts, frame.index, dtype=object))
    return result


def _mark(trial: int, known: Confidence) -> str:
    """What stands behind the interval of a trial: MARK, or spaces of its width."""
    return f" {MARK}" if trial in known.as_good else " " * (1 + len(MARK))


def _short(value: float, known: Confidence) -> str:
    """A limit: with three decimals if the objective is an error, else with three significant digits."""
    return f"{value:.3f}" if known.objective in ERRORS else f"{value:.3g}"
