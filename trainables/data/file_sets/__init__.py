"""Data sets of image files: a table of paths, labels, parts and groups becomes a data set.

It uses the rest of `trainables.data`. The data sets in `trainables/datasets` use it, and so do your own.
"""

from __future__ import annotations

from trainables.data.file_sets.file_set import FileSet, hold_out
from trainables.data.file_sets.grouping import GROUP_KEY, groups_of, with_groups
from trainables.data.file_sets.image_table import PART_NAMES, PARTS, ImageTable, from_files, in_order, part_of
from trainables.data.file_sets.options import SplitOptions

__all__ = [
    "GROUP_KEY",
    "PARTS",
    "PART_NAMES",
    "FileSet",
    "ImageTable",
    "SplitOptions",
    "from_files",
    "groups_of",
    "hold_out",
    "in_order",
    "part_of",
    "with_groups",
]
