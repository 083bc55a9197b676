"""Quantities in words: "1 epoch", "2 epochs", and the form of all durations that people read, such as "3m07s"."""

from __future__ import annotations


def with_plural(n: int | None, thing: str) -> str:
    """The number of things in words: "1 trial", "2 trials"."""
    return f"{n} {thing}{'s' * (n != 1)}"


def duration(seconds: float) -> str:
    """Format seconds for people: 42s, 3m07s, 2h05m."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
