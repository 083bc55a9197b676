"""A metric that fails on a part of as many images as the variable FAIL_ON says."""

from __future__ import annotations

import os
from typing import Any


def cost(logits: Any, labels: Any) -> float:
    """The share of wrong answers."""
    if os.environ.get("FAIL_ON") == str(len(labels)):
        raise ZeroDivisionError("no such luck")
    return float((logits.argmax(dim=1) != labels).double().mean())
