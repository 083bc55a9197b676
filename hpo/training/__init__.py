"""The training of one trial: this package builds a trainable, trains it epoch by epoch and returns reports.

It connects `hpo` to `trainables`. `trainables` is imported inside functions, so importing this package does not import
torch. `hpo.runners` and the packages above it may import this package.
"""

from __future__ import annotations

from hpo.training.builder import Builder, Job, trial_seed
from hpo.training.checkpoints import Checkpoints
from hpo.training.user_code import Build
from hpo.training.worker import Worker

__all__ = ["Build", "Builder", "Checkpoints", "Job", "Worker", "trial_seed"]
