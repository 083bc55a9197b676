"""The test on held-out data: re-train the best trials, evaluate each once, and record every look in `test.json`.

No other room reaches held-out data. `hpo.results` and the rooms above read what it recorded.
"""

from __future__ import annotations

from hpo.heldout.evaluation import PROTOCOLS, evaluate
from hpo.heldout.evaluations import Evaluation, Evaluations, Spread, TrialEvaluation

__all__ = ["PROTOCOLS", "Evaluation", "Evaluations", "Spread", "TrialEvaluation", "evaluate"]
