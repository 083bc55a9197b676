"""The type of a random change of images, and the rules for its settings that several of them share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trainables.hyperparameters import Rule

Recipe = Callable[[Tensor, torch.Generator], Tensor]
"""Takes images, float32 in 0..1 (n, channels, height, width), on any device, and a CPU generator. Returns augmented
images of the same shape. The images passed in are not modified.
"""
FROM_0_TO_1 = Rule("of at least 0 and at most 1", lambda value: 0 <= value <= 1)
AT_LEAST_1 = Rule("of at least 1", lambda value: value >= 1)
