"""What a fit ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class FitResult:
    """The winner of a fit, tested and written as a model."""

    study: str
    """The study that found it."""
    trial: int
    """The number of its trial in this study."""
    lines: tuple[str, ...]
    """The origin of the model, and its validation and test results, in words."""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FitResult:
        """Return the result that `to_dict` returned, as JSON holds it."""
        return cls(content["study"], content["trial"], tuple(content["lines"]))
