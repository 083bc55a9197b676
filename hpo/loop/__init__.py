"""The search loop, which connects a backend, a runner and a record, and the replay, which resumes a study.

The command line and the Python API call this package.
"""

from __future__ import annotations

from hpo.loop.backend_building import build_backend
from hpo.loop.earlier_study import Earlier, recorded_source, with_earlier_study
from hpo.loop.first_configurations import with_first_configurations
from hpo.loop.ignored_priors import priors_note
from hpo.loop.new_settings import CHANGEABLE, changed_settings
from hpo.loop.round_size import budget_note
from hpo.loop.search import run
from hpo.loop.session import Session, Watch
from hpo.loop.simulated_settings import with_curves
from hpo.loop.studies import begin, default_name, resume
from hpo.loop.study_replay import replay_study

__all__ = [
    "CHANGEABLE",
    "Earlier",
    "Session",
    "Watch",
    "begin",
    "budget_note",
    "build_backend",
    "changed_settings",
    "default_name",
    "priors_note",
    "recorded_source",
    "replay_study",
    "resume",
    "run",
    "with_curves",
    "with_earlier_study",
    "with_first_configurations",
]
