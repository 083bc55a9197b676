"""Finds plug-ins by name (backends, runners, regimes, models, data sets) and reads the hyperparameters they declare.

The declarations of a module are read without importing it. This package imports only `hpo.space` and what lies below
it; the packages above may import it.
"""

from __future__ import annotations

from hpo.plugins.registry import (
    DATASETS,
    TASK_PACKAGES,
    WORKER,
    data_problems,
    find,
    hyperparameters,
    load,
    located,
    module_name,
    names,
    problem_lines,
    problems,
)

__all__ = [
    "DATASETS",
    "TASK_PACKAGES",
    "WORKER",
    "data_problems",
    "find",
    "hyperparameters",
    "load",
    "located",
    "module_name",
    "names",
    "problem_lines",
    "problems",
]
