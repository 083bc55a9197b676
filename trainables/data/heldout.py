"""The held-out part (ground floor of training): the one place that asks a data set for it.

`hpo/evaluate.py` imports this module to test the best of a study, `hpo/data.py` to find broken files and images
that stand in both parts. Nobody else does, so the sum of its callers is the list of looks at held-out data.
"""

from __future__ import annotations

from trainables.splits import DataSet, Source


def held_out(dataset: DataSet) -> Source:
    """The part of a data set that no search, no regime and no model has seen."""
    return dataset.held_out()
