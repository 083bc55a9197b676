"""The numbers that a hyperparameter may take, as a module declares them in `RANGES`.

A declaration is `float` or `int`, which stands for whole numbers, with its bounds, and may end with names that are
allowed as well: "float > 0", "0 <= float < 1", "0 <= int <= 30", "0 < float < 1 or none".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hpo.space.values import is_number
from hpo.trial import Value

NUMBER = r"-?[\d.]+(?:e-?\d+)?"
FORM = re.compile(
    rf"(?:(?P<low>{NUMBER}) (?P<above><=?) )?(?P<type>float|int)(?: (?P<sign>[<>]=?) (?P<bound>{NUMBER}))?"
    r"(?: or (?P<name>\w+))?"
)


@dataclass(frozen=True)
class NumberRange:
    """A range of numbers with at most two bounds."""

    is_whole: bool
    """Whether only whole numbers are allowed."""
    low: float | None
    includes_low: bool
    high: float | None
    includes_high: bool
    name: str | None = None
    """A text that is allowed as well."""

    @classmethod
    def parse(cls, text: str) -> NumberRange:
        """The range that a declaration describes. Raises ValueError if it has another form."""
        match = FORM.fullmatch(text)
        if match is None or (match["low"] and (match["sign"] or "<")[0] == ">"):
            raise ValueError(f"{text!r} is no range such as 'float > 0', 'int >= 1' or '0 <= float < 1'")
        low, includes_low = match["low"], match["above"] == "<="
        high, includes_high = match["bound"], match["sign"] == "<="
        if (match["sign"] or "")[:1] == ">":
            low, includes_low, high = match["bound"], match["sign"] == ">=", None
        bounds = (None if bound is None else float(bound) for bound in (low, high))
        first, last = bounds
        return cls(match["type"] == "int", first, includes_low, last, includes_high, match["name"])

    def allows(self, value: Value) -> bool:
        """Whether a value lies in the range. Null does: it stands for the default."""
        if value is None or (self.name is not None and value == self.name):
            return True
        if not is_number(value) or (self.is_whole and not isinstance(value, int)):
            return False
        is_above = self.low is None or value > self.low or (self.includes_low and value == self.low)
        is_below = self.high is None or value < self.high or (self.includes_high and value == self.high)
        return is_above and is_below

    @property
    def words(self) -> str:
        """The range as error messages state it, after "must be"."""
        bounds = []
        if self.low is not None:
            bounds.append(f"{'of at least' if self.includes_low else 'above'} {self.low:g}")
        if self.high is not None:
            bounds.append(f"{'at most' if self.includes_high else 'below'} {self.high:g}")
        kind = "a whole number" if self.is_whole else "a number"
        name = "" if self.name is None else f", or {self.name}"
        return " ".join([kind, " and ".join(bounds)]).strip() + name
