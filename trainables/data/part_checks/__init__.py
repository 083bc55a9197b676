"""What `hpo data` reports on the parts of a data set: near-copies between them, and the share of each class in each.

It uses `trainables.data`. Only `hpo.cli` imports it.
"""

from __future__ import annotations

from trainables.data.part_checks.parts import NamedParts, are_files, parts_of

__all__ = ["NamedParts", "are_files", "parts_of"]
