"""The values that a space gives each hyperparameter, whether it fixes or searches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.space import TASK_DOMAINS
from hpo.space.activity import active_with
from hpo.space.domains import Categorical, Domain
from hpo.space.values import is_number, is_one_of
from hpo.trial import Value

Allowed = Mapping[str, Sequence[Value]]
"""Values of other hyperparameters to which those of one are limited, because it is only active with them."""


@dataclass(frozen=True)
class GivenSettings:
    """The hyperparameters of a space with their values. A fixed null is not given: it stands for the default."""

    domains: Mapping[str, Domain | None]
    """A domain is None if it has mistakes that are reported elsewhere."""
    fixed: Mapping[str, Value]

    def places(self) -> list[tuple[str, str]]:
        """The section and the name of each hyperparameter that is given."""
        searched = [("space", name) for name in self.domains if name not in TASK_DOMAINS]
        return searched + [("fixed", name) for name, value in self.fixed.items() if value is not None]

    def is_given(self, name: str) -> bool:
        """Whether a hyperparameter has a value that is not its default."""
        return name in self.domains or self.fixed.get(name) is not None

    def place(self, name: str) -> tuple[str, str]:
        """The section of a hyperparameter that is given, and its name."""
        return ("space" if name in self.domains else "fixed"), name

    def active_with(self, name: str) -> dict[str, tuple[Value, ...]]:
        """The values of others with which a hyperparameter is active. Empty if it always is."""
        when = {other: domain.when for other, domain in self.domains.items() if domain is not None}
        return active_with(name, when)

    def may_be_inactive(self, name: str, limits: Allowed | None = None) -> bool:
        """Whether some trials, of those in `limits`, do not have a hyperparameter that is given, but its default."""
        domain, limits = self.domains.get(name), limits or {}
        if domain is None or name in limits:  # what is limited to some of its values has one of them
            return False
        return not all(self._is_always(parent, allowed, limits) for parent, allowed in domain.when.items())

    def _is_always(self, name: str, allowed: Sequence[Value], limits: Allowed) -> bool:
        """Whether a hyperparameter has one of the allowed values in all trials in `limits`."""
        values = limits[name] if name in limits else self.values(name)
        return (
            bool(values)
            and all(is_one_of(value, allowed) for value in values or ())
            and not self.may_be_inactive(name, limits)
        )

    def values(self, name: str, limits: Allowed | None = None) -> tuple[Value, ...] | None:
        """The values that a hyperparameter may have, of those in `limits`. Empty if it is not given.

        None if it may have any: those of a range, of a domain with mistakes, or if `limits` are none of its choices.
        """
        if name not in self.domains:
            value = self.fixed.get(name)
            return () if value is None else (value,)
        domain = self.domains[name]
        if not isinstance(domain, Categorical):
            return None
        limit = (limits or {}).get(name)
        return tuple(value for value in domain.choices if limit is None or is_one_of(value, limit)) or None

    def smallest(self, name: str, default: float | None = None) -> float | None:
        """The smallest number that a hyperparameter may have. None if that is not known, or if it may have none."""
        if default is None and self.may_be_inactive(name):
            return None
        numbers = self._numbers(name, default)
        return min(numbers) if numbers else None

    def largest(self, name: str, default: float | None = None) -> float | None:
        """The largest number that a hyperparameter may have. None if that is not known."""
        numbers = self._numbers(name, default)
        return max(numbers) if numbers else None

    def _numbers(self, name: str, default: float | None) -> list[float]:
        if not self.is_given(name):
            return [] if default is None else [default]
        by_default = [default] if default is not None and self.may_be_inactive(name) else []
        domain = self.domains.get(name)
        if domain is not None and not isinstance(domain, Categorical):
            return [domain.low, domain.high, *by_default]
        return [*(value for value in self.values(name) or () if is_number(value)), *by_default]
