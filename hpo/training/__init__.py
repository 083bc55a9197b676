"""The door to `trainables`: the names of a task and the numbers of a trial become a training with reports.

`trainables` is imported inside functions, so importing this room imports no torch. Runners and the rooms above use it.
"""

from __future__ import annotations

from hpo.training.builder import Builder, Job, trial_seed
from hpo.training.checkpoints import Checkpoints
from hpo.training.forms import Build
from hpo.training.worker import Worker

__all__ = ["Build", "Builder", "Checkpoints", "Job", "Worker", "trial_seed"]
