"""Plug-ins by name: backends, runners, regimes, models and data sets, and the hyperparameters each declares.

It reads a module's declarations without importing it. It stands on `hpo.space`; rooms above may import it.
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
    module_name,
    names,
    problems,
    unread,
)

__all__ = [
    "DATASETS",
    "TASK_PACKAGES",
    "WORKER",
    "data_problems",
    "find",
    "hyperparameters",
    "load",
    "module_name",
    "names",
    "problems",
    "unread",
]
