"""Results to read: tables, published numbers beside found ones, status lines, and the progress of a running search.

It reads `hpo.record` and `hpo.heldout`, and changes neither.
"""

from __future__ import annotations

from hpo.results.export import write_tables
from hpo.results.rendering import FORMATS, render, table_text, write
from hpo.results.tables import table

__all__ = ["FORMATS", "render", "table", "table_text", "write", "write_tables"]
