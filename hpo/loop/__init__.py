"""The search: ask the backend, start trials, record and tell their reports; and the replay that resumes a study.

It joins a backend, a runner and a record. The command line and the Python API call it.
"""

from __future__ import annotations

from hpo.loop.search import Watch, begin, build_backend, default_name, resume, run

__all__ = ["Watch", "begin", "build_backend", "default_name", "resume", "run"]
