"""From names and numbers to a training: data set, model and regime put together.

It stands on all of `trainables`, and gets plug-ins from a loader that its caller hands in.
"""

from __future__ import annotations

from trainables.assembly.assembly import Assembly

__all__ = ["Assembly"]
