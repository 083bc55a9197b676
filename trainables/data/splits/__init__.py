"""Splits of labelled images: training and validation, folds, with or without groups, and given validation parts.

`stratified.py` splits, `grouped.py` keeps groups together, `given.py` joins given parts. Other packages import only
the names that are listed here.
"""

from __future__ import annotations

from trainables.data.splits.given import concatenated, search_images, sorted_by_name
from trainables.data.splits.grouped import Assignment
from trainables.data.splits.rare_classes import (
    RARE_CLASSES,
    TooFewSamples,
    describe_rare,
    n_needed,
    rare,
    unit_of,
)
from trainables.data.splits.stratified import (
    Split,
    apply,
    assign_folds,
    assign_fraction,
    n_second,
    sample_per_class,
    split,
    split_into_folds,
)

__all__ = [
    "RARE_CLASSES",
    "Assignment",
    "Split",
    "TooFewSamples",
    "apply",
    "assign_folds",
    "assign_fraction",
    "concatenated",
    "describe_rare",
    "n_needed",
    "n_second",
    "rare",
    "sample_per_class",
    "search_images",
    "sorted_by_name",
    "split",
    "split_into_folds",
    "unit_of",
]
