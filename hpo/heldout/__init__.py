"""The test on held-out data: retrain the best trials, evaluate each model once, and record every look in `test.json`.

No other package evaluates a model on held-out data. `hpo.results` and the packages above it read the recorded results.
"""

from __future__ import annotations

from hpo.heldout.evaluation import best_trials, evaluate
from hpo.heldout.plan import Plan, tested_protocol, tested_seeds
from hpo.heldout.protocols import PROTOCOLS
from hpo.heldout.record import TestRecord
from hpo.heldout.retraining import RetrainedEpoch
from hpo.heldout.soup import make_soup
from hpo.heldout.soup_record import Soup
from hpo.heldout.trial_result import ModelResult, Spread, TrialResult

__all__ = [
    "PROTOCOLS",
    "ModelResult",
    "Plan",
    "RetrainedEpoch",
    "Soup",
    "Spread",
    "TestRecord",
    "TrialResult",
    "best_trials",
    "evaluate",
    "make_soup",
    "tested_protocol",
    "tested_seeds",
]
