"""One epoch of training, validation or prediction: the loops over batches, as plain functions.

All samples lie on the device, and a batch is selected by indices. The sums of loss and accuracy stay on the device
until the epoch ends, so no batch waits for a transfer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainables.own_metric import OwnMetric
from trainables.training import metrics
from trainables.training.gradual_unfreezing import GradualUnfreezing
from trainables.training.schedules import Schedule
from trainables.training.weight_average import WeightAverage

VALIDATION_BATCH_SIZE = 256
"""The number of samples that pass through the network at once, where no gradients are needed."""

Forward = Callable[[Tensor], Tensor]
"""Takes inputs (n, ...) and returns logits (n, n_classes)."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The inputs of a network with their labels, on one device."""

    inputs: Tensor
    """(m, ...): images, or features of frozen stages."""
    labels: Tensor
    """int64, (n,)."""
    rows: Tensor | None = None
    """int64, (n,): the row of `inputs` for each label. None if these are all rows, in order."""

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> Tensor:
        """Return the inputs of the samples at `index`, (k, ...)."""
        return self.inputs[index] if self.rows is None else self.inputs[self.rows[index]]


class BatchResult(NamedTuple):
    """The result of one batch."""

    total_loss: Tensor
    """The loss with its penalties, a scalar. `backward` is called on it."""
    loss: Tensor
    """The mean loss over the samples without penalties, a scalar, detached. It is reported.

    With class weights it is the weighted mean.
    """
    n_correct: Tensor
    """The number of samples that were classified correctly, a scalar."""
    n_samples: int
    """The number of samples that `loss` is the mean of."""


Objective = Callable[[Forward, Tensor, Tensor, torch.Generator], BatchResult]
"""What a training minimises: takes the network's forward function, and the inputs and labels of a batch.

It calls the forward function and computes the loss. All its random numbers come from the generator, a CPU one.
"""


@runtime_checkable
class InParts(Protocol):
    """An objective that can compute a batch in parts, one after another, so that it takes less memory."""

    def in_parts(
        self, forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator, n_parts: int
    ) -> Iterator[BatchResult]:
        """Yield the result of each part of a batch. `backward` is called on each before the next is computed.

        The `total_loss` of all parts add up to that of the batch, and so do their gradients. The mean of their `loss`,
        weighted by `n_samples`, is that of the batch.
        """
        ...


Sampler = Callable[[torch.Generator], Tensor]
"""Takes a CPU generator, and returns the indices of the samples of an epoch in their order, int64 (n,), on the CPU."""


@dataclass(frozen=True)
class Optimization:
    """How a network is optimized: the optimizer, its schedule, the objective, and the settings of a step."""

    optimizer: Optimizer
    """The optimizer of the parameters that train."""
    schedule: Schedule
    """The schedule of the learning rate. It gives the factor of each step of the optimizer."""
    objective: Objective
    """Computes the loss of a batch."""
    batch_size: int
    """The number of samples in each step of the optimizer."""
    clip_norm: float | None = None
    """The largest total norm of the gradients. If it is exceeded, they are scaled down to it. None: no limit."""
    bf16: bool = False
    """Whether autocast computes convolutions and matrix products in bfloat16. Weights and losses stay float32."""
    sampler: Sampler | None = None
    """Draws the samples of each epoch. None: each sample once, in a random order."""
    micro_batches: int = 1
    """The number of parts that each batch is computed in. Their gradients are added up before the optimizer steps."""
    average: WeightAverage | None = None
    """The average of the weights. It is updated after each step of the optimizer."""
    unfreezing: GradualUnfreezing | None = None
    """Says which stages are frozen in each epoch. None: the same ones in all epochs."""

    @property
    def validation_batch_size(self) -> int:
        """The number of samples of a batch of validation. A training in micro-batches validates in smaller ones too."""
        return max(1, VALIDATION_BATCH_SIZE // self.micro_batches)

    def results(
        self, forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator
    ) -> Iterable[BatchResult]:
        """Return the result of a batch, or of each of its parts. A part has at least two samples, for BatchNorm."""
        n_parts = min(self.micro_batches, max(1, len(labels) // 2))
        if n_parts == 1 or not isinstance(self.objective, InParts):
            return [self.objective(forward, inputs, labels, generator)]
        return self.objective.in_parts(forward, inputs, labels, generator, n_parts)


def train_epoch(
    network: nn.Module, forward: Forward, samples: Samples, optimization: Optimization, generator: torch.Generator
) -> tuple[float, float]:
    """Train on the samples that the sampler draws, by default on each once, in a random order.

    `generator` is a CPU one; the samples and their order are drawn from it. Returns the mean loss and the accuracy in
    0..1, measured on each batch just before its step. Each batch counts by its number of samples.
    """
    network.train()
    device = samples.labels.device
    sums = _Sums(device)
    order = draw_order(len(samples), optimization.sampler, generator).to(device)
    parameters = [parameter for group in optimization.optimizer.param_groups for parameter in group["params"]]
    divided = batches(order, optimization.batch_size)
    for batch, factor in zip(divided, optimization.schedule.factors(len(divided)), strict=True):
        optimization.optimizer.zero_grad(set_to_none=True)
        for result in optimization.results(forward, samples.batch(batch), samples.labels[batch], generator):
            result.total_loss.backward()  # type: ignore[no-untyped-call]
            sums.add(result.loss, result.n_correct, result.n_samples)
        if optimization.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, optimization.clip_norm)
        optimization.schedule.set_factor(factor)
        optimization.optimizer.step()
        if optimization.average is not None:
            optimization.average.update()
    optimization.schedule.end_epoch()
    return sums.means()


def compute_logits(
    network: nn.Module, forward: Forward, samples: Samples, *, batch_size: int = VALIDATION_BATCH_SIZE
) -> Tensor:
    """Return the logits of each sample, float32 (n, n_classes), on the device.

    The network is left in evaluation mode.
    """
    network.eval()
    with torch.inference_mode():
        starts = range(0, len(samples), batch_size)
        return torch.cat([forward(samples.batch(slice(start, start + batch_size))) for start in starts])


def compute_metrics(logits: Tensor, labels: Tensor, *, own_metric: OwnMetric | None = None) -> dict[str, float]:
    """Return `loss`, the metrics and `own_metric` of logits (n, n_classes) and labels (n,)."""
    return compute_results(logits, labels, own_metric=own_metric)[0]


def compute_results(
    logits: Tensor, labels: Tensor, *, own_metric: OwnMetric | None = None
) -> tuple[dict[str, float], metrics.SampleResults | None]:
    """Return what `compute_metrics` returns, and the results for each sample, (n,)."""
    with torch.inference_mode():
        found = metrics.compute(logits.unsqueeze(0), labels)
    names = metrics.names(logits.shape[1])
    named = dict(zip(names, found.values[0].tolist(), strict=True))  # this waits for the device
    if own_metric is not None:
        named[own_metric.name] = own_metric.compute(logits, labels)
    samples = None if found.samples is None else metrics.SampleResults(*(each[0] for each in found.samples))
    return {"loss": float(found.losses[0]), **named}, samples


def n_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the number of samples whose highest logit is that of their label, a scalar on the device."""
    return (logits.argmax(dim=1) == labels).sum()


def draw_order(n: int, sampler: Sampler | None, generator: torch.Generator) -> Tensor:
    """Return the indices of the samples of an epoch in their order, int64 (n,), on the CPU.

    Without a sampler, these are all `n` samples in a random order.
    """
    return torch.randperm(n, generator=generator) if sampler is None else sampler(generator)


def batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Divide `order` (n,) into batches of `batch_size`. The last batch may be smaller.

    If a single sample remains, it is added to the batch before it, because BatchNorm cannot normalize one value per
    channel.
    """
    divided = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if batch_size > 1 and len(divided) > 1 and len(divided[-1]) == 1:
        divided[-2:] = [torch.cat(divided[-2:])]
    return divided


def n_batches(n: int, batch_size: int) -> int:
    """Return the number of batches into which `batches` divides `n` samples."""
    is_joined = batch_size > 1 and n > batch_size and n % batch_size == 1
    return -(-n // batch_size) - is_joined


class _Sums:
    """The sums of loss and correct predictions over an epoch, on the device."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), device=device)
        self._n_correct = torch.zeros((), dtype=torch.int64, device=device)
        self._n_samples = 0

    def add(self, loss: Tensor, n_correct: Tensor, n_samples: int) -> None:
        """Add a batch of `n_samples` samples. `loss` is their mean loss."""
        self._loss += loss * n_samples
        self._n_correct += n_correct
        self._n_samples += n_samples

    def means(self) -> tuple[float, float]:
        """Return the mean loss and the accuracy over all samples. This waits for the device."""
        n = max(self._n_samples, 1)  # no sample counts if a contrastive epoch had no triplets
        return float(self._loss) / n, int(self._n_correct) / n
