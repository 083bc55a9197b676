"""Images and files that are numbered, so that a test sees where each of them goes."""

from collections.abc import Sequence
from pathlib import Path

import torch

from trainables.data.dataset import Files, Part, Source


def labels_of(*counts: int) -> torch.Tensor:
    return torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])


def pictures(*counts: int) -> Part:
    """So many images of each class, numbered by their only pixel."""
    labels = labels_of(*counts)
    return Part(torch.arange(len(labels)).float().reshape(-1, 1, 1, 1), labels)


def files(*counts: int) -> Files:
    """So many files of each class, numbered by their names."""
    labels = labels_of(*counts)
    return Files(tuple(Path(str(number)) for number in range(len(labels))), labels)


def numbers(source: Source) -> list[int]:
    if isinstance(source, Files):
        return [int(path.name) for path in source.paths]
    return source.images.flatten().int().tolist()


def check_labels(sources: Sequence[Source], whole: Source) -> None:
    """Each image has the label that it has in the whole."""
    for source in sources:
        assert torch.equal(source.labels, whole.labels[numbers(source)])
