"""Figures of a study as PNG, SVG or PDF: charts, images, and what a trained model has learned.

This package reads the record, the checkpoints and the test results. The command line and the Python API call it.
"""

from __future__ import annotations

from hpo.figures.plot import plot

__all__ = ["plot"]
