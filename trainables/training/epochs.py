"""One epoch: the loops over batches, as plain functions.

Batches are gathered by index from tensors that lie on the device, and the sums stay there until the
epoch ends: nothing waits for the device in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

Forward = Callable[[Tensor], Tensor]
"""From inputs (n, ...) to logits (n, classes)."""


@dataclass(frozen=True, eq=False)
class Samples:
    """What a network sees, and the answers."""

    inputs: Tensor
    """(n, ...): images, or what a frozen part made of them."""
    labels: Tensor
    """int64, (n,)."""
    rows: Tensor | None = None
    """int64, (n,): which of `inputs`, that are more; all in order where None."""

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> Tensor:
        """The inputs at `index`, (k, ...)."""
        return self.inputs[index] if self.rows is None else self.inputs[self.rows[index]]


class BatchResult(NamedTuple):
    """What an objective says of a batch."""

    minimised: Tensor
    """What is differentiated: the loss with its penalties, a scalar."""
    loss: Tensor
    """What is reported: the mean over the samples, a scalar, detached."""
    n_correct: Tensor
    """How many samples were answered correctly, a scalar."""
    n: int
    """How many samples the loss is a mean over."""


Objective = Callable[[Forward, Tensor, Tensor, torch.Generator], BatchResult]
"""From the network, and a batch's inputs and labels, to what is minimised; what is random comes from the generator."""


@dataclass(frozen=True)
class Optimization:
    """How a training goes about it."""

    optimizer: Optimizer
    """Over the parameters that train."""
    schedule: LRScheduler
    """Stepped once an epoch."""
    objective: Objective
    batch_size: int
    clip_norm: float | None = None
    """Gradients are scaled down to this total norm where theirs is greater."""
    bf16: bool = False
    """Whether convolutions and matrix products are computed in bfloat16; weights and losses stay float32."""


def train_epoch(
    network: nn.Module, forward: Forward, samples: Samples, method: Optimization, generator: torch.Generator
) -> tuple[float, float]:
    """Train on each sample once, in an order drawn from `generator` (a CPU one), and step the schedule.

    Returns the mean loss and the share of correct answers, as they were when each batch was trained.
    """
    network.train()
    device = samples.labels.device
    sums = _Sums(device)
    order = torch.randperm(len(samples), generator=generator).to(device)
    trained = [parameter for group in method.optimizer.param_groups for parameter in group["params"]]
    for batch in batches(order, method.batch_size):
        judged = method.objective(forward, samples.batch(batch), samples.labels[batch], generator)
        method.optimizer.zero_grad(set_to_none=True)
        judged.minimised.backward()  # type: ignore[no-untyped-call]
        if method.clip_norm is not None:
            nn.utils.clip_grad_norm_(trained, method.clip_norm)
        method.optimizer.step()
        sums.add(judged.loss, judged.n_correct, judged.n)
    method.schedule.step()
    return sums.means()


def validate(network: nn.Module, forward: Forward, samples: Samples, *, batch_size: int = 256) -> tuple[float, float]:
    """The mean cross-entropy in nats and the accuracy in 0..1; leaves the network in evaluation mode."""
    network.eval()
    sums = _Sums(samples.labels.device)
    with torch.inference_mode():
        for start in range(0, len(samples), batch_size):
            labels = samples.labels[start : start + batch_size]
            logits = forward(samples.batch(slice(start, start + batch_size)))
            sums.add(functional.cross_entropy(logits, labels), n_correct(logits, labels), len(labels))
    return sums.means()


def predict(network: nn.Module, forward: Forward, samples: Samples, *, batch_size: int = 256) -> Tensor:
    """The probability of each class for each sample, (n, classes), on the CPU; leaves evaluation mode."""
    network.eval()
    with torch.inference_mode():
        starts = range(0, len(samples), batch_size)
        logits = [forward(samples.batch(slice(start, start + batch_size))) for start in starts]
        return torch.cat(logits).softmax(dim=1).cpu()


def n_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """How many samples have their highest logit at their label, a scalar on the device."""
    return (logits.argmax(dim=1) == labels).sum()


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

        self._n = 0

    def add(self, loss: Tensor, n_correct: Tensor, n: int) -> None:
        """Take in a batch of `n` samples and their mean loss."""
        self._loss += loss * n
        self._correct += n_correct
        self._n += n

    def means(self) -> tuple[float, float]:
        n = max(self._n, 1)  # no triplet in any batch
        return float(self._loss) / n, int(self._correct) / n
