"""Importance as a table and as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.importance.analysis import Curve, Effect, Importance, Spread
from hpo.space.values import list_as_text
from hpo.trial import Value

if TYPE_CHECKING:
    from pandas import DataFrame

BAR = 20
"""The number of characters of a bar for the whole variance."""


def frame(found: Importance) -> DataFrame:
    """The effects as a table: one row for each hyperparameter, the most important first.

    Columns: hyperparameter; main, main_low, main_high, total, total_low, total_high (shares of the variance, with
    intervals of 90 %); stands_out; best_value (the value with the lowest average objective). Without an effect, it is
    empty.
    """
    import pandas as pd

    rows = [
        {
            "hyperparameter": effect.name,
            **{f"{kind}{end}": getattr(getattr(effect, kind), at) for kind in ("main", "total") for end, at in _ENDS},
            "stands_out": effect.stands_out,
            "best_value": value_text(best_value(effect.curve)),
        }
        for effect in found.effects
    ]
    names = ["hyperparameter", *(f"{kind}{end}" for kind in ("main", "total") for end, _ in _ENDS)]
    return pd.DataFrame(rows, columns=[*names, "stands_out", "best_value"])


_ENDS = (("", "mean"), ("_low", "low"), ("_high", "high"))


def lines(found: Importance) -> list[str]:
    """Describe the importance in lines of at most 80 characters, unless names are long."""
    if found.reason is not None:
        return [f"{found.reason[0].upper()}{found.reason[1:]}."]
    width = max(len("hyperparameter"), *(len(effect.name) for effect in found.effects))
    header = f"{'hyperparameter':<{width}}  {'share of the variance':<{BAR}}  {'90 % interval':<13}  best near"
    text = [header]
    for effect in found.effects:
        total = effect.total
        bar = "█" * round(BAR * total.mean) if effect.stands_out else ""
        interval = f"{total.low:.0%} to {total.high:.0%}"
        best = value_text(best_value(effect.curve)) if effect.stands_out else "no difference seen"
        share = f"{bar} {total.mean:.0%}".strip()
        text.append(f"{effect.name:<{width}}  {share:<{BAR + 1}}  {interval:<13}  {best}")
    return [*text, "", *basis(found)]


def basis(found: Importance) -> list[str]:
    """What the figures rest on, in sentences. Empty if there are no figures."""
    if not found.effects:
        return []
    text = [
        f"{found.n_trials} trials were compared by their {found.metric} at epoch {found.epoch}."
        + (f" {found.n_carried} that ended earlier were carried to it." if found.n_carried else "")
        + (f" {found.n_lowered} with values far above the others were lowered." if found.n_lowered else "")
    ]
    if found.r2 is not None:
        text.append(
            f"A model of them explains {max(found.r2, 0):.0%} of the differences between trials that it has not seen."
        )
    if hidden := [effect.name for effect in found.effects if not effect.stands_out]:
        text.append(f"Cannot be told apart from random numbers: {', '.join(hidden)}.")
    return text


def summary(found: Importance) -> str:
    """The most important hyperparameters in one sentence."""
    if found.reason is not None:
        return f"{found.reason[0].upper()}{found.reason[1:]}."
    known = [effect for effect in found.effects if effect.stands_out]
    if not known:
        return "No hyperparameter can be told apart from random numbers."
    named = [f"{effect.name} ({effect.total.mean:.0%} of the variance)" for effect in known[:3]]
    return f"What mattered most: {', '.join(named)}."


def best_value(curve: Curve) -> Value:
    """The value with the lowest objective on average over the others."""
    return curve.values[min(range(len(curve.values)), key=lambda i: curve.objective[i].mean)]


def value_text(value: Value) -> str:
    """A value of a hyperparameter for people."""
    return f"{value:.3g}" if isinstance(value, float) else str(list_as_text(value))


def interval_text(spread: Spread) -> str:
    """An interval as "low to high", in four significant digits."""
    return f"{spread.low:.4g} to {spread.high:.4g}"


def known_effects(found: Importance) -> Sequence[Effect]:
    """The effects that stand out from random numbers."""
    return [effect for effect in found.effects if effect.stands_out]
