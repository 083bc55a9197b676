"""One epoch (ground floor of training): the loops over batches, as plain functions.

Batches are gathered by index from tensors that lie on the device, and the sums stay there until the
epoch ends: nothing waits for the device in between.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from trainables.splits import Part


def train_epoch(
    model: nn.Module, part: Part, optimizer: Optimizer, *, batch_size: int, generator: torch.Generator
) -> tuple[float, float]:
    """Train on each sample of `part` once, in an order drawn from `generator` (a CPU one).

    Returns the mean cross-entropy in nats and the accuracy in 0..1, as they were when each batch was trained.
    """
    model.train()
    sums = _Sums(part.images.device)
    order = torch.randperm(len(part), generator=generator).to(part.images.device)
    for batch in batches(order, batch_size):
        labels = part.labels[batch]
        logits = model(part.images[batch])
        loss = functional.cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        sums.add(loss.detach() * len(batch), logits.detach(), labels)
    return sums.means(len(part))


def validate(model: nn.Module, part: Part, *, batch_size: int = 1024) -> tuple[float, float]:
    """The mean cross-entropy in nats and the accuracy in 0..1 on `part`; leaves the model in evaluation mode."""
    model.eval()
    sums = _Sums(part.images.device)
    with torch.inference_mode():
        for start in range(0, len(part), batch_size):
            labels = part.labels[start : start + batch_size]
            logits = model(part.images[start : start + batch_size])
            sums.add(functional.cross_entropy(logits, labels, reduction="sum"), logits, labels)
    return sums.means(len(part))


def batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut `order` (n,) into batches of `batch_size`; the last is shorter, but never a single sample.

    A single one joins the batch before it, as BatchNorm cannot normalise one value a channel.
    """
    cut = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if batch_size > 1 and len(cut) > 1 and len(cut[-1]) == 1:
        cut[-2:] = [torch.cat(cut[-2:])]
    return cut


class _Sums:
    """The loss and the correct answers of an epoch, summed on the device."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._loss += loss
        self._correct += (logits.argmax(dim=1) == labels).sum()

    def means(self, n: int) -> tuple[float, float]:
        return float(self._loss) / n, int(self._correct) / n
