"""The search space: hyperparameters and their domains, the task, the fidelity, and the rules that all of them obey.

It imports only `hpo.trial` and `hpo.errors`. Every package above it may import it.
"""

from __future__ import annotations

from hpo.space.dataset_spec import DatasetSpec
from hpo.space.domains import Categorical, Domain, Float, Int
from hpo.space.objectives import OBJECTIVES
from hpo.space.search_space import TASK_DOMAINS, Fidelity, SearchSpace
from hpo.space.task import DATA_KEYS, VALIDATION_KEYS, WEIGHTS, Task, Validation

__all__ = [
    "DATA_KEYS",
    "OBJECTIVES",
    "TASK_DOMAINS",
    "VALIDATION_KEYS",
    "WEIGHTS",
    "Categorical",
    "DatasetSpec",
    "Domain",
    "Fidelity",
    "Float",
    "Int",
    "SearchSpace",
    "Task",
    "Validation",
]
