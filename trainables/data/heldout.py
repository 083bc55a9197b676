"""The held-out part: the one function that asks a data set for it.

Only `hpo/heldout/evaluation.py`, which tests the best of a study, and `hpo/cli/data.py`, which looks for broken files,
import this module. So its callers are all the places where held-out data is read.
"""

from __future__ import annotations

from trainables.data.dataset import DataSet, Source


def held_out(dataset: DataSet) -> Source:
    """The part of a data set that no search, no regime and no model has seen."""
    return dataset.held_out()
