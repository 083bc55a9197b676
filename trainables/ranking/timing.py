"""The time of a forward pass: of a whole network, of its last stages, and in which precision it is shorter."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from trainables.data.dataset import Part
from trainables.trainable import TransferModel

N_TIMED = 16
"""The number of images of a timed batch."""
N_TIMINGS = 3
"""The number of timed batches. The fastest counts, because other work can only slow a batch down."""
WORTHWHILE = 1.2
"""bfloat16 is taken if it is so many times as fast. For less, its rounding is not worth it."""


def seconds_of_last_stages(model: TransferModel, part: Part, *, bf16: bool = False) -> tuple[float, ...]:
    """Return the time of the last 1, 2, ... stages with weights for an image, and at last that of all stages.

    Stages without weights count for the stage with weights before them, as `n_stages` of the regime
    probe_then_fine_tune counts them. The images are of `part`, which lies on the device of the model.
    """
    times = _fastest(model, part, bf16)
    with_weights = [bool(list(stage.parameters())) for stage in model.stages.values()]
    found, total = [], 0.0
    for seconds, has_weights in zip(reversed(times), reversed(with_weights), strict=True):
        total += seconds
        if has_weights:
            found.append(total)
    return (*found[:-1], sum(times))


def seconds_per_image(model: TransferModel, part: Part, *, bf16: bool = False) -> float:
    """Return the time of all stages for an image, on the cores of this process or on the GPU."""
    return sum(_fastest(model, part, bf16))


def faster_precision(model: TransferModel, part: Part) -> str:
    """Return "bf16" if the stages are much faster in bfloat16, else "fp32".

    The model is moved to the device of `part`.
    """
    model.to(device=part.labels.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    gain = seconds_per_image(model, part) / seconds_per_image(model, part, bf16=True)
    return "bf16" if gain >= WORTHWHILE else "fp32"


def _fastest(model: TransferModel, part: Part, bf16: bool) -> list[float]:
    """The seconds of each stage for an image, in the fastest of some batches. The first includes the preprocessing."""
    images = part.batch(slice(min(N_TIMED, len(part))))
    model.eval()
    passes = [_pass(model, images, bf16) for _ in range(1 + N_TIMINGS)][1:]  # the first batch warms up
    return [seconds / len(images) for seconds in min(passes, key=sum)]


@torch.no_grad()
def _pass(model: TransferModel, images: Tensor, bf16: bool) -> list[float]:
    """The seconds of each stage for a batch."""
    times = []
    started = time.perf_counter()
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=bf16):
        features = model.preprocess(images)
        for index in range(len(model.stages)):
            features = model.run_stages(features, index, index + 1)
            if features.is_cuda:
                torch.cuda.synchronize(features.device)
            now = time.perf_counter()
            times.append(now - started)
            started = now
    return times
