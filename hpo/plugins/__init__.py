"""Finds plug-ins by name, such as backends, models and trackers, and reads the hyperparameters they declare.

It also finds the functions of the user that are objectives.

The declarations of a module are read without importing it. This package imports only `hpo.space` and what lies below
it; the packages above may import it.
"""

from __future__ import annotations

from hpo.plugins import objectives
from hpo.plugins.registry import (
    BACKENDS,
    DATASETS,
    NOUNS,
    RUNNERS,
    TASK_PACKAGES,
    TRACKERS,
    WORKER,
    find,
    flags,
    hyperparameters,
    install_hint,
    load,
    located,
    located_data,
    module_name,
    names,
)
from hpo.plugins.space_problems import data_problems, problem_lines, problems
from hpo.plugins.space_rules import notices, rule_problems

__all__ = [
    "BACKENDS",
    "DATASETS",
    "NOUNS",
    "RUNNERS",
    "TASK_PACKAGES",
    "TRACKERS",
    "WORKER",
    "data_problems",
    "find",
    "flags",
    "hyperparameters",
    "install_hint",
    "load",
    "located",
    "located_data",
    "module_name",
    "names",
    "notices",
    "objectives",
    "problem_lines",
    "problems",
    "rule_problems",
]
