"""Quantities as people read them: "1 epoch", "1,200 epochs", durations such as "3m07s", and decimal numbers."""

from __future__ import annotations

import math


def with_plural(n: int | None, thing: str) -> str:
    """The number of things in words: "1 trial", "2 trials", "1,200 trials"."""
    return f"{n if n is None else f'{n:,}'} {thing}{'s' * (n != 1)}"


def decimal(value: float | None, digits: int = 4) -> str:
    """A number with so many decimal places. Empty if it is None or not finite."""
    return f"{value:.{digits}f}" if value is not None and math.isfinite(value) else ""


def duration(seconds: float) -> str:
    """Format seconds for people: 0.5s, 42s, 3m07s, 2h05m. Less than a millisecond is 0s."""
    whole = int(seconds)
    if 0.001 <= seconds < 1:
        return f"{seconds:.1g}s"
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
