"""Lockstep: a few trainings of heads through an epoch, step by step, as one.

In a step each training sees a batch of its own order. Those of smaller batches have more steps; they stand
first, so that the steps in which the others have none left are of the first rows alone. Where batches of
one step differ in size, the smaller are filled up with samples that count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.fused import stacked_layers
from trainables.fused.stacked_parameters import StackedParameters
from trainables.training import epochs
from trainables.training.epochs import Samples
from trainables.training.gradient_descent import Training

VALIDATED = 256
"""Samples that are validated at a time."""
LARGEST_COPY = 2**28
"""Bytes of inputs of which each chunk may have a copy in the precision of the products."""


class _Step(NamedTuple):
    """One step of an epoch: which samples it takes of each order, for the trainings that have any left."""

    n: int
    """How many trainings."""
    places: slice | Tensor
    """The same places of each order, or (n, batch) of each its own."""
    share: float | Tensor
    """What a sample counts in the mean over its batch: (n, batch, 1), 0 where it only fills up."""


class Lockstep:
    """Trainings whose heads have one form and whose optimizers are of one kind, on the same samples."""

    def __init__(self, members: Sequence[Training]) -> None:
        self.members = sorted(members, key=lambda member: member.method.batch_size)
        heads = [member.model.head for member in self.members]
        methods = [member.method for member in self.members]
        self._stack = StackedParameters(heads, [method.optimizer for method in methods])
        self._dtype = torch.bfloat16 if methods[0].bf16 else torch.float32
        self._layers = stacked_layers.stacked(heads[0], self._stack.column, self._dtype)
        self._device = next(heads[0].parameters()).device
        losses = [loss for member in self.members if (loss := member.plain_loss) is not None]
        self._smoothing = self._column([loss.label_smoothing for loss in losses], 0.0, 3)
        self._l2 = self._column([loss.l2 for loss in losses], 0.0, 1)
        self._limits = self._column([method.clip_norm or torch.inf for method in methods], torch.inf, 2)
        n = len(self.members[0].data.train)
        self._steps = list(_steps(n, [method.batch_size for method in methods], self._device))
        self._sums = torch.zeros(4, len(members), device=self._device)
        self._orders = torch.empty(0)

    def _column(self, numbers: Sequence[float], neutral: float, ndim: int) -> Tensor | None:
        """A number a row, with `ndim` dimensions; None where all are neutral."""
        if all(number == neutral for number in numbers):
            return None
        return torch.tensor(numbers, device=self._device).reshape(-1, *[1] * (ndim - 1))

    @property
    def is_current(self) -> bool:
        """Whether nothing took the place of what the members hold since they were put together."""
        return self._stack.is_current

    def begin(self) -> None:
        """Make ready for an epoch."""
        self._orders = torch.stack([member.draw_order() for member in self.members]).to(self._device)
        self._stack.refresh()
        self._sums.zero_()

    @torch.no_grad()
    def run(self, train: Samples, validation: Samples) -> None:
        """Train an epoch of each member, then validate; what comes of it stays on the device."""
        inputs = train.inputs.flatten(1)
        n_seen = len(self.members) * len(train)
        if len(inputs) <= n_seen and inputs.nbytes <= LARGEST_COPY:  # else each step makes the same numbers of some
            inputs = inputs.to(self._dtype)
        for n, places, share in self._steps:
            orders = self._orders[:n]
            chosen = orders[:, places] if isinstance(places, slice) else orders.gather(1, places)
            rows = chosen if train.rows is None else train.rows[chosen]
            values = inputs.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
            self._step(values, train.labels[chosen], share)
        self._validate(validation)

    def results(self) -> Iterator[tuple[Training, Mapping[str, float]]]:
        """What the epoch gave of each member. Waits for the device."""
        data = self.members[0].data
        n, n_validation = len(data.train), len(data.validation)
        for member, sums in zip(self.members, self._sums.T.tolist(), strict=True):
            yield (
                member,
                {
                    "val_loss": sums[2] / n_validation,
                    "val_accuracy": sums[3] / n_validation,
                    "train_loss": sums[0] / n,
                    "train_accuracy": sums[1] / n,
                },
            )

    def _step(self, values: Tensor, labels: Tensor, share: float | Tensor) -> None:
        n = len(values)
        entered = []
        for layer in self._layers:
            entered.append(values)
            values = layer.forward(values)
        loss, is_right, gradient = self._judge(values.float(), labels)
        if isinstance(share, Tensor):
            counts = share.squeeze(2) > 0
            loss, is_right = loss.masked_fill(~counts, 0), is_right & counts
        self._sums[0, :n] += loss.sum(dim=1)
        self._sums[1, :n] += is_right.sum(dim=1)
        wanted: Tensor | None = gradient.mul_(share)
        for layer, values in zip(reversed(self._layers), reversed(entered), strict=True):
            if wanted is not None:
                wanted = layer.backward(values, wanted)
        if self._l2 is not None:
            self._stack.penalise(self._l2[:n])
        if self._limits is not None:
            self._stack.clip(self._limits[:n])
        self._stack.update(n)

    def _judge(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The cross-entropy of each sample, whether it was answered correctly, and the gradient of the sum of it."""
        right = labels.unsqueeze(2)
        log = logits.log_softmax(dim=2)
        loss, is_right = -log.gather(2, right).squeeze(2), logits.argmax(dim=2) == labels
        if self._smoothing is None:
            gradient = logits.softmax(dim=2)
            return loss, is_right, gradient.scatter_add_(2, right, gradient.new_full((), -1.0).expand(right.shape))
        spread = self._smoothing[: len(logits)]
        each = spread / logits.shape[2]
        loss = (1 - spread[..., 0]) * loss - each[..., 0] * log.sum(dim=2)
        gradient = logits.softmax(dim=2).sub_(each)
        return loss, is_right, gradient.scatter_add_(2, right, (spread - 1).expand(right.shape))

    def _validate(self, samples: Samples) -> None:
        n = len(self.members)
        for start in range(0, len(samples), VALIDATED):
            values = samples.batch(slice(start, start + VALIDATED)).flatten(1).expand(n, -1, -1)
            labels = samples.labels[start : start + VALIDATED]
            for layer in self._layers:
                values = layer.forward(values)
            logits = values.float()
            log = logits.log_softmax(dim=2)
            self._sums[2] -= log.gather(2, labels.expand(n, -1).unsqueeze(2)).sum(dim=(1, 2))
            self._sums[3] += (logits.argmax(dim=2) == labels).sum(dim=1)


def _steps(n: int, batch_sizes: Sequence[int], device: torch.device) -> Iterator[_Step]:
    """The steps of an epoch of n samples, in which training i takes batches of `batch_sizes[i]`, which rise."""
    every = torch.arange(n)
    cuts = [[len(batch) for batch in epochs.batches(every, batch_size)] for batch_size in batch_sizes]
    spans = [list(zip(accumulate(sizes, initial=0), sizes, strict=False)) for sizes in cuts]
    for step in range(len(spans[0])):
        now = [span[step] for span in spans if step < len(span)]
        start, size = now[0]
        if all(span == now[0] for span in now):
            yield _Step(len(now), slice(start, start + size), 1 / size)
        else:
            starts, sizes = torch.tensor(now, device=device).T.unsqueeze(2)
            within = torch.arange(int(sizes.max()), device=device)
            share = torch.where(within < sizes, 1 / sizes, 0.0).unsqueeze(2)
            yield _Step(len(now), (starts + within).clamp(max=n - 1), share)
