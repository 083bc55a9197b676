"""Builds a training from names: puts a data set, a model and a regime together.

This package uses all other packages of `trainables`. It gets plug-ins from a function that its caller passes.
"""

from __future__ import annotations

from trainables.assembly.assembly import Assembly

__all__ = ["Assembly"]
