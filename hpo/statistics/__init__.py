"""How sure a result is: intervals, paired comparisons, and the estimate of a trial that was chosen because it was best.

It computes on arrays, reads no study and no file, and imports only NumPy and SciPy.
"""

from __future__ import annotations

from hpo.statistics.comparison import not_apart
from hpo.statistics.differences import DifferenceOfChosen, difference_of_chosen
from hpo.statistics.intervals import Interval, interval, mean_interval
from hpo.statistics.left_out import MAX_UNITS, are_signed, at_most, left_out_values
from hpo.statistics.per_image import of_folds, per_image, per_image_of_results
from hpo.statistics.seeds import both_spreads, differing
from hpo.statistics.selection import Chosen, TrialValues, chosen, intervals_of_trials
from hpo.statistics.units import FEW_GROUPS, Units, fold_weights, joined_groups

__all__ = [
    "FEW_GROUPS",
    "MAX_UNITS",
    "Chosen",
    "DifferenceOfChosen",
    "Interval",
    "TrialValues",
    "Units",
    "are_signed",
    "at_most",
    "both_spreads",
    "chosen",
    "difference_of_chosen",
    "differing",
    "fold_weights",
    "interval",
    "intervals_of_trials",
    "joined_groups",
    "left_out_values",
    "mean_interval",
    "not_apart",
    "of_folds",
    "per_image",
    "per_image_of_results",
]
