"""The only function that reads the held-out part of a data set.

Three files import this module: `hpo/heldout/evaluation.py`, which tests the best trial of a study,
`hpo/heldout/study_data.py`, which looks for broken and changed files, and `hpo/cli/data.py`, which reports on a data
set. So its imports show every place where held-out data is read.
"""

from __future__ import annotations

from trainables.data.dataset import DataSet, Source


def held_out(dataset: DataSet) -> Source | None:
    """Return the held-out part of a data set, or None without one. No search, no regime and no model has seen it."""
    return dataset.held_out()
