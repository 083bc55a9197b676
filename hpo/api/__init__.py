"""The Python API: `hpo.search`, and the `Study` that it returns. For notebooks and scripts.

`hpo/__init__.py` hands its names on, lazily. Nothing else imports it.
"""

from __future__ import annotations

from hpo.api.functions import list_studies, load_model, open_study, read_space, search, test
from hpo.api.study import BestTrial, Study

__all__ = ["BestTrial", "Study", "list_studies", "load_model", "open_study", "read_space", "search", "test"]
