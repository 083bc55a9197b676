"""Many small trainings as one program: heads that differ only in numbers are stacked and stepped together.

It stands on `trainables.training`. The fused runner uses it through `hpo.training`.
"""

from __future__ import annotations

from trainables.fused.group import LARGEST, LIMITS, Group, key

__all__ = ["LARGEST", "LIMITS", "Group", "key"]
