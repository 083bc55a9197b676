"""Images and labels: data sets, decoding, splits, preprocessing, summaries, and the held-out part.

This package uses `trainables.store`. Models, data sets, features and training import it.
"""

from __future__ import annotations

from trainables.data.dataset import DataSet, Files, LeftOut, Part, Pretraining, SearchData, Source
from trainables.data.file_sets import ImageTable, SplitOptions, from_files
from trainables.data.input_spec import IMAGENET, InputSpec

__all__ = [
    "IMAGENET",
    "DataSet",
    "Files",
    "ImageTable",
    "InputSpec",
    "LeftOut",
    "Part",
    "Pretraining",
    "SearchData",
    "Source",
    "SplitOptions",
    "from_files",
]
