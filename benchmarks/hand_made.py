"""A fine-tuning script with a good recipe, written by hand without hpo: what an engineer would type for one training.

The recipe: a ResNet with ImageNet weights; three epochs of a new last layer on frozen features; then all layers for as
many epochs as fit into the time, AdamW at one rate that rises for a tenth of the steps and falls as a cosine to zero,
random crops of at least half the image and flips, label smoothing of 0.1, bfloat16. The weights of the last step are
tested.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from trainables import vision
from trainables.data.input_spec import IMAGENET

STORED, SIDE = 256, 224
"""The side of the stored images, and that of what the network receives, in pixels."""
BATCH_SIZE = 32
PROBE_EPOCHS, PROBE_LR = 3, 1e-3
LR, WEIGHT_DECAY, WARMUP, SMOOTHING = 1e-4, 0.05, 0.1, 0.1
SMALLEST_CROP = 0.5
TIMED_STEPS = 8
"""So many steps on a copy of the network tell how many epochs fit."""


@dataclass(frozen=True)
class Images:
    """Decoded images in memory."""

    pixels: Tensor
    """uint8 (n, 3, STORED, STORED)."""
    labels: Tensor
    """int64 (n,)."""

    def __len__(self) -> int:
        return len(self.labels)


def decoded(paths: Sequence[Path], labels: Tensor) -> Images:
    """Read image files: the shorter side becomes STORED pixels, and the middle is cut out."""
    v2 = vision.transforms()
    steps = v2.Compose([v2.Resize(STORED), v2.CenterCrop(STORED), v2.PILToTensor()])
    return Images(torch.stack([steps(Image.open(path).convert("RGB")) for path in paths]), labels)


def held_out_correct(
    weights: Path, model: str, training: Images, held_out: Images, seconds: float
) -> tuple[list[bool], float, int]:
    """Train for `seconds`, and classify the held-out images.

    Return whether each is right, the seconds taken, and the epochs of all layers. The clock is the processor time of
    this process divided by its threads.
    """
    threads = torch.get_num_threads()
    started = time.process_time()

    def elapsed() -> float:
        return (time.process_time() - started) / threads

    torch.manual_seed(0)
    network = getattr(vision.models(), model)()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network = network.to(memory_format=torch.channels_last)
    head = nn.Linear(network.fc.in_features, int(training.labels.max()) + 1)
    network.fc = nn.Identity()
    _probe(network, head, training)
    network.fc = head
    epochs = _fine_tune(network, training, elapsed, seconds - _test_seconds(network, held_out, elapsed))
    correct = _logits(network, held_out).argmax(1) == held_out.labels
    return correct.tolist(), elapsed(), epochs


def _probe(network: nn.Module, head: nn.Module, training: Images) -> None:
    """Train the head on the features of the frozen network."""
    features = _logits(network, training)
    optimizer = torch.optim.AdamW(head.parameters(), lr=PROBE_LR)
    for _ in range(PROBE_EPOCHS):
        for rows in torch.split(torch.randperm(len(training)), BATCH_SIZE):
            optimizer.zero_grad()
            functional.cross_entropy(head(features[rows]), training.labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def _fine_tune(network: nn.Module, training: Images, elapsed: Callable[[], float], seconds: float) -> int:
    """Train all layers until `seconds` have elapsed, at least one epoch. Return the number of epochs."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    augment, n_steps, step = _augmentation(), math.ceil(len(training) / BATCH_SIZE), 0
    step_seconds = _step_seconds(network, training, augment, elapsed)
    n_epochs = max(1, int((seconds - elapsed()) / (step_seconds * n_steps)))
    network.train()
    for _ in range(n_epochs):
        for rows in torch.split(torch.randperm(len(training)), BATCH_SIZE):
            for group in optimizer.param_groups:
                group["lr"] = LR * rate_share(step, n_epochs * n_steps)
            optimizer.zero_grad()
            _add_gradients(network, training, rows, augment)
            optimizer.step()
            step += 1
    return n_epochs


def _add_gradients(network: nn.Module, training: Images, rows: Tensor, augment: Callable[[Tensor], Tensor]) -> None:
    """Compute the loss of some augmented images, and its gradients."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.cat([augment(image[None]) for image in training.pixels[rows]]))
    functional.cross_entropy(  # type: ignore[no-untyped-call]
        logits.float(), training.labels[rows], label_smoothing=SMOOTHING
    ).backward()


def _step_seconds(
    network: nn.Module, training: Images, augment: Callable[[Tensor], Tensor], elapsed: Callable[[], float]
) -> float:
    """The time of a step, from a few on a copy of the network, so that neither weights nor statistics change.

    The updates have a rate of 0, because a step of AdamW takes its time, too.
    """
    copied = copy.deepcopy(network).train()
    optimizer = torch.optim.AdamW(copied.parameters(), lr=0.0)
    began = elapsed()
    for _ in range(TIMED_STEPS):
        optimizer.zero_grad()
        _add_gradients(copied, training, torch.randperm(len(training))[:BATCH_SIZE], augment)
        optimizer.step()
    return (elapsed() - began) / TIMED_STEPS


def rate_share(step: int, n_steps: int) -> float:
    """The share of the learning rate at a step: a linear rise, then a cosine."""
    rise = max(1, int(WARMUP * n_steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, n_steps - rise)))


def _augmentation() -> Any:
    """Random crops and flips, then the normalization."""
    v2 = vision.transforms()
    crop = v2.RandomResizedCrop(SIDE, scale=(SMALLEST_CROP, 1.0), antialias=True)
    return v2.Compose([crop, v2.RandomHorizontalFlip(), *_normalization()])


def _normalization() -> list[Any]:
    v2 = vision.transforms()
    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET.mean, IMAGENET.std)]


@torch.no_grad()
def _logits(network: nn.Module, images: Images) -> Tensor:
    """(n, outputs): of the middle of each image, in evaluation mode."""
    v2 = vision.transforms()
    prepare = v2.Compose([v2.CenterCrop(SIDE), *_normalization()])
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        found = [network(prepare(batch)).float() for batch in torch.split(images.pixels, BATCH_SIZE)]
    network.train()
    return torch.cat(found)


def _test_seconds(network: nn.Module, held_out: Images, elapsed: Callable[[], float]) -> float:
    """The time that the test will take, from a few batches of it."""
    few = Images(held_out.pixels[: 2 * BATCH_SIZE], held_out.labels[: 2 * BATCH_SIZE])
    began = elapsed()
    _logits(network, few)
    return (elapsed() - began) * len(held_out) / len(few)
