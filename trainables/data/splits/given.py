"""The images that a search sees, if a data set has a validation part of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from trainables.data.dataset import DataSet, Files, Part, Source
from trainables.data.splits.grouped import Assignment
from trainables.errors import SetupError


def search_images(dataset: DataSet) -> tuple[Source, Assignment | None]:
    """Return all images that a search sees. The assignment is 1 for those of a given validation part, 0 for the others.

    Without a given validation part, these are the training part as it is and None. With one, files are sorted by their
    label, their name without its folders, and their path. So the order is the same if the same files lie in other
    folders.

    Raises SetupError if one part is in memory and the other is not, or if their images differ in shape or type.
    """
    training = dataset.training()
    get_validation = getattr(dataset, "validation", None)
    validation: Source | None = None if get_validation is None else get_validation()
    if validation is None:
        return training, None
    if isinstance(training, Files) and isinstance(validation, Files):
        return concatenated([training, validation])
    kinds = [_kind(part) for part in (training, validation)]
    if isinstance(training, Files) or isinstance(validation, Files) or kinds[0] != kinds[1]:
        raise SetupError(
            f"data set {dataset.name!r}: the images of its training part are {kinds[0]}, but those of its validation "
            f"part are {kinds[1]}; both must be of one kind"
        )
    labels = torch.cat([training.labels, validation.labels])
    return Part(torch.cat([training.images, validation.images]), labels), _numbers([training, validation])


def concatenated(parts: Sequence[Files]) -> tuple[Files, Assignment]:
    """Return the files of several parts, sorted as by `sorted_by_name`, and for each file the number of its part."""
    groups = tuple(group for part in parts for group in part.groups)
    paths = tuple(path for part in parts for path in part.paths)
    folders = {part.folder for part in parts}
    whole = Files(
        paths,
        torch.cat([part.labels for part in parts]),
        folder=folders.pop() if len(folders) == 1 else None,
        groups=groups if len(groups) == len(paths) else (),
    )
    order = sorted_by_name(whole)
    return whole.take(order), _numbers(parts)[order]


def sorted_by_name(files: Files) -> list[int]:
    """Return the indices of files, sorted by the label, the name of the file without its folders, and its path."""
    labels = files.labels.tolist()
    return sorted(range(len(files)), key=lambda i: (labels[i], files.paths[i].name, files.names[i]))


def _numbers(parts: Sequence[Source]) -> Assignment:
    """The number of its part for each image of several parts, one part after the other."""
    return np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])


def _kind(source: Source) -> str:
    """What the images of a part are, for messages: files, or their type and the shape of one image."""
    if isinstance(source, Files):
        return "files"
    return f"{str(source.pool.dtype).removeprefix('torch.')} {source.shape}"
