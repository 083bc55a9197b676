"""The model families: one file a family.

A file of this folder (or a module named by an entry point of the group `trainables.models`) offers

    build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel

for images of `shape` (channels, height, width), and the literal `HYPERPARAMETERS`. Two more say
what heads can be trained side by side: `HEAD_ONLY = True` where no stage has weights, so that all that can train is the
head, and `LINEAR_HEAD = False` where the head is no chain of linear layers.
"""

from __future__ import annotations

from trainables.data.input_spec import IMAGENET, InputSpec
from trainables.models._heads import convolution as convolution_head
from trainables.models._heads import linear as linear_head
from trainables.models._weights import load_into
from trainables.trainable import TransferModel

__all__ = ["IMAGENET", "InputSpec", "TransferModel", "convolution_head", "linear_head", "load_into"]

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.models._heads",)
