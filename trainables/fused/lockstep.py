"""Lockstep: a few trainings of heads that run through an epoch together, step by step.

In each step, every training takes a batch from its own order of the samples. A training with smaller batches has more
steps. Trainings are sorted by batch size, so that those with the most steps come first. The last steps then use only
the first rows of the stack. If the batches of one step have different sizes, the smaller ones are padded with samples
of weight 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.fused import stacked_layers
from trainables.fused.stacked_averages import StackedAverages
from trainables.fused.stacked_losses import StackedLoss, per_member
from trainables.fused.stacked_parameters import StackedParameters
from trainables.training import epochs, metrics, predictions
from trainables.training.epochs import Samples
from trainables.training.gradient_descent import Training

VALIDATION_BATCH_SIZE = 256
"""The number of samples that are validated at a time."""
MAX_COPY_BYTES = 2**28
"""The largest size of inputs that each chunk may copy to the precision of its matrix products."""


class _Step(NamedTuple):
    """One step of an epoch, for the trainings that still have a batch left."""

    n_members: int
    """The number of these trainings. They are the first ones."""
    positions: slice | Tensor
    """The positions of the batch in the order of each training: a slice for all, or (n_members, batch)."""
    weight: float | Tensor
    """The weight of each sample in the mean over its batch: one for all, or (n_members, batch, 1), 0 for padding."""


class Lockstep:
    """Trainings that are stepped together. They have the same samples, head layers and kind of optimizer."""

    def __init__(self, members: Sequence[Training], *, offers_logits: bool = True) -> None:
        """`offers_logits` says whether each member is given the logits of its validation, until it releases them."""
        self.members = sorted(members, key=lambda member: member.optimization.batch_size)
        self._offers_logits = offers_logits
        heads = [member.trained_model.head for member in self.members]
        optimizations = [member.optimization for member in self.members]
        self._parameters = StackedParameters(heads, [optimization.optimizer for optimization in optimizations])
        averages = [optimization.average for optimization in optimizations]
        self._averages = None if not any(averages) else StackedAverages(self._parameters, averages)
        self._dtype = torch.bfloat16 if optimizations[0].bf16 else torch.float32
        self._layers = stacked_layers.stack_layers(heads[0], self._parameters.values_and_gradients, self._dtype)
        self._validated_layers = self._layers
        if self._averages is not None:
            values_and_gradients = self._averages.values_and_gradients
            self._validated_layers = stacked_layers.stack_layers(heads[0], values_and_gradients, self._dtype)
        self._device = next(heads[0].parameters()).device
        losses = [loss for member in self.members if (loss := member.classifier_loss) is not None]
        self._loss = StackedLoss(losses, self._device)
        self._l2 = per_member([loss.l2 for loss in losses], 0.0, 1, self._device)
        clip_norms = [optimization.clip_norm or torch.inf for optimization in optimizations]
        self._clip_norms = per_member(clip_norms, torch.inf, 2, self._device)
        lengths = [_batch_lengths(len(self.members[0].data.train), each.batch_size) for each in optimizations]
        self._n_steps = [len(each) for each in lengths]
        self._steps = list(_steps(lengths, self._device))
        # Of each member: training loss, correct training samples.
        self._sums = torch.zeros(2, len(members), device=self._device)
        # The metrics of the members, and the names of those beside the loss.
        self._metrics, self._names = metrics.Metrics(torch.empty(0), torch.empty(0)), tuple[str, ...]()
        # The user's own metric of each member, by its name.
        self._own: list[dict[str, float]] = []
        self._orders = torch.empty(0)

    @property
    def is_current(self) -> bool:
        """Whether the stacked tensors are still the ones that the members hold."""
        return self._parameters.is_current and (self._averages is None or self._averages.is_current)

    def begin(self) -> None:
        """Prepare an epoch: draw the order of each member, and read the hyperparameters of its steps."""
        for member in self.members:
            member.release_logits()  # they are views of the logits of all members
        self._orders = torch.stack([member.draw_order() for member in self.members]).to(self._device)
        schedules = [member.optimization.schedule for member in self.members]
        self._parameters.refresh([each.factors(n) for each, n in zip(schedules, self._n_steps, strict=True)])
        self._sums.zero_()

    @torch.no_grad()
    def run(self, train: Samples, validation: Samples) -> None:
        """Train one epoch of each member, then validate. The results stay on the device until `results` reads them."""
        inputs = train.inputs.flatten(1)
        n_used = len(self.members) * len(train)
        # One conversion of all inputs is cheaper than one in each step, if the steps use at least as many samples.
        if len(inputs) <= n_used and inputs.nbytes <= MAX_COPY_BYTES:
            inputs = inputs.to(self._dtype)
        for number, (n_members, positions, weight) in enumerate(self._steps):
            orders = self._orders[:n_members]
            indices = orders[:, positions] if isinstance(positions, slice) else orders.gather(1, positions)
            rows = indices if train.rows is None else train.rows[indices]
            values = inputs.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
            self._step(number, values, train.labels[indices], weight)
        self._validate(validation)

    def results(self) -> Iterator[tuple[Training, Mapping[str, float]]]:
        """Yield each member with the metrics of its epoch. This waits for the device."""
        n_train = len(self.members[0].data.train)
        columns = (self._sums.T.tolist(), self._metrics.losses.tolist(), self._metrics.values.tolist(), self._own)
        for member, sums, loss, values, own in zip(self.members, *columns, strict=True):
            yield (
                member,
                {
                    "val_loss": loss,
                    **{f"val_{name}": value for name, value in zip(self._names, values, strict=True)},
                    **own,
                    "train_loss": sums[0] / n_train,
                    "train_accuracy": sums[1] / n_train,
                },
            )

    def _step(self, number: int, values: Tensor, labels: Tensor, weight: float | Tensor) -> None:
        """Make step `number` of the epoch of the first k members.

        Takes inputs (k, batch, width), labels (k, batch) and sample weights.
        """
        k = len(values)
        layer_inputs = []
        for layer in self._layers:
            layer_inputs.append(values)
            values = layer.forward(values)
        loss_sum, n_correct, logits_gradient = self._loss(values.float(), labels, weight)
        self._sums[0, :k] += loss_sum
        self._sums[1, :k] += n_correct
        gradient: Tensor | None = logits_gradient
        for layer, values in zip(reversed(self._layers), reversed(layer_inputs), strict=True):
            if gradient is not None:
                gradient = layer.backward(values, gradient)
        if self._l2 is not None:
            self._parameters.add_l2_gradients(self._l2[:k])
        if self._clip_norms is not None:
            self._parameters.clip(self._clip_norms[:k])
        self._parameters.update(k, number)
        if self._averages is not None:
            self._averages.update(k)

    def _validate(self, samples: Samples) -> None:
        """Compute the metrics of each member on `samples`, and give each its logits, if they are offered."""
        n_members = len(self.members)
        all_logits: list[Tensor] = []
        for start in range(0, len(samples), VALIDATION_BATCH_SIZE):
            values = samples.batch(slice(start, start + VALIDATION_BATCH_SIZE)).flatten(1).expand(n_members, -1, -1)
            for layer in self._validated_layers:
                values = layer.forward(values)
            all_logits.append(values.float())
        self._names = metrics.names(all_logits[0].shape[2])
        whole = torch.cat(all_logits, dim=1)
        self._metrics = metrics.compute(whole, samples.labels)
        if self._offers_logits:
            self._offer(whole)
        own = self.members[0].data.own_metric
        self._own = [{f"val_{own.name}": own.compute(each, samples.labels)} if own else {} for each in whole]

    def _offer(self, whole: Tensor) -> None:
        """Give each member its logits, of `whole` (n_members, n, n_classes), and its results for each sample."""
        samples = self._metrics.samples
        for i, member in enumerate(self.members):
            member.validation_logits = predictions.offered(whole[i])
            if member.validation_logits is not None and samples is not None:
                member.validation_results = metrics.SampleResults(*(each[i] for each in samples))


def _batch_lengths(n: int, batch_size: int) -> list[int]:
    """Return the size of each batch of an epoch of `n` samples."""
    return [len(batch) for batch in epochs.batches(torch.arange(n), batch_size)]


def _steps(lengths: Sequence[Sequence[int]], device: torch.device) -> Iterator[_Step]:
    """Yield the steps of an epoch.

    `lengths` holds the sizes of the batches of each training. Batch sizes are in ascending order.
    """
    n = sum(lengths[0])
    # The start and the length of each batch of each training.
    batches = [list(zip(accumulate(each, initial=0), each, strict=False)) for each in lengths]
    for step in range(len(batches[0])):
        current = [batches_of_one[step] for batches_of_one in batches if step < len(batches_of_one)]
        start, length = current[0]
        if all(batch == current[0] for batch in current):
            yield _Step(len(current), slice(start, start + length), 1 / length)
        else:
            starts, sizes = torch.tensor(current, device=device).T.unsqueeze(2)
            offsets = torch.arange(int(sizes.max()), device=device)
            weight = torch.where(offsets < sizes, 1 / sizes, 0.0).unsqueeze(2)
            yield _Step(len(current), (starts + offsets).clamp(max=n - 1), weight)
