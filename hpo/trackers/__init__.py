"""The trackers, which send trials to the tools that people watch trainings with. There is one file for each tool.

`_tracker.py` is the Protocol. `_follower.py` runs a tracker beside a search, in a process of its own. A tracker only
reads what it is given: it decides nothing, and no search waits for it.
"""

from __future__ import annotations

from hpo.trackers._follower import Follower
from hpo.trackers._sending import Sent, one_line, send_all
from hpo.trackers._target import NONE, Target, check
from hpo.trackers._target import recorded as recorded_targets
from hpo.trackers._tracker import TrackedStudy, TrackedTrial, Tracker, tracked_study, tracked_trial

__all__ = [
    "NONE",
    "Follower",
    "Sent",
    "Target",
    "TrackedStudy",
    "TrackedTrial",
    "Tracker",
    "check",
    "one_line",
    "recorded_targets",
    "send_all",
    "tracked_study",
    "tracked_trial",
]
