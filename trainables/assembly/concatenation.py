"""One part of the images of several parts, for a training on more than the training part."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trainables.data.dataset import Part


def concatenate(parts: Sequence[Part]) -> Part:
    """Return one part of the images of several parts, which must have the same shape and lie on the same device.

    Parts of one pool are not copied.
    """
    labels = torch.cat([part.labels for part in parts])
    first = parts[0]
    rows = [part.rows for part in parts if part.rows is not None]
    if len(rows) == len(parts) and all(part.pool is first.pool for part in parts):
        return Part(first.pool, labels, rows=torch.cat(rows), key=first.key)
    return Part(torch.cat([part.images for part in parts]), labels)
