"""Tables of a study, comparison with published results, status lines, and the progress display of a running search.

This package reads `hpo.record` and `hpo.heldout`, and changes neither.
"""

from __future__ import annotations

from hpo.results.export import write_tables
from hpo.results.rendering import FORMATS, render, select_columns, table_text, wrap, write
from hpo.results.tables import table

__all__ = ["FORMATS", "render", "select_columns", "table", "table_text", "wrap", "write", "write_tables"]
