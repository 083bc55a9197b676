"""The forward pass of a TransferModel, from any of its stages on."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.trainable import TransferModel


def from_stage(model: TransferModel, first_stage: int, bf16: bool, inputs: Tensor) -> Tensor:
    """Return the logits, float32, from the inputs of stage number `first_stage`. For stage 0, these are images."""
    if first_stage == 0:
        inputs = model.preprocess(inputs)
    else:  # a copy, because a stage may work in place, and the features stay in the cache
        memory_format = torch.channels_last if inputs.ndim == 4 else torch.preserve_format
        inputs = inputs.clone(memory_format=memory_format)
    with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=bf16):
        logits: Tensor = model.head(model.run_stages(inputs, first_stage, len(model.stages)))
    return logits.float()
