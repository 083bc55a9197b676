"""The numbers of the groups of images, such as patients: parts and records hold them instead of the names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.data.dataset import Part


def numbers(groups: Sequence[str]) -> tuple[int, ...]:
    """Return the number of each image's group, in the order in which the groups appear. Empty without groups."""
    number_of = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return tuple(number_of[group] for group in groups)


def of_parts(parts: Sequence[Part]) -> Tensor | None:
    """Return the number of the group of each image of several parts, int64 (n,). None if a part has no groups.

    No group is in two of the parts, so each part gets numbers of its own.
    """
    found, n_before = [], 0
    for part in parts:
        if part.groups is None:
            return None
        found.append(part.groups + n_before)
        n_before = int(found[-1].max()) + 1
    return torch.cat(found)
