"""Heads side by side: many small trainings as one batched program.

Trainings that differ only in numbers (learning rate, seed, optimizer, batch size, ...) and train but a few linear
layers on inputs that stay as they are leave a processor mostly waiting. So their layers are stacked, and one
matrix product serves them all; each keeps its own order of the samples, optimizer, schedule and
random state. The idea is that of HFTA (S. Wang et al., Horizontally Fused Training Array, MLSys 2021,
arXiv 2102.02344).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import nn

from trainables.fused import stacked_layers, stacked_parameters
from trainables.fused.lockstep import Lockstep
from trainables.training.gradient_descent import Training

LARGEST = 2**21
"""Numbers that train, above which a training keeps a processor busy by itself."""
LIMITS = {"cpu": (2**21, 64), "cuda": (2**28, 1024)}
"""By device: bytes of parameters that are stepped as one, what a CPU's cache can hold; and trainings, at most."""


def key(trainable: object) -> Hashable | None:
    """Equal for trainings that can be stepped as one; None for what must be stepped alone."""
    if type(trainable) is not Training:
        return None
    model, method, loss = trainable.model, trainable.method, trainable.plain_loss
    form, own = stacked_layers.plain(model.head), list(model.head.parameters())
    trained = [parameter for group in method.optimizer.param_groups for parameter in group["params"]]
    if not form or loss is None or not model.stages or not all(map(_is_still, _open_stages(trainable))):
        return None
    if [id(each) for each in trained] != [id(each) for each in own] or stacked_parameters.kind(
        method.optimizer
    ) is None:
        return None
    weights = [each for each in own if each.ndim > 1]
    if loss.l2 and {id(each) for each in loss.weights} != {id(each) for each in weights}:
        return None
    if sum(each.numel() for each in own) > LARGEST:
        return None
    fingerprint = trainable.fingerprint(len(model.stages))
    if fingerprint is None:
        return None
    data = trainable.data
    return id(data.train), id(data.validation), fingerprint, method.bf16, str(own[0].device), tuple(map(str, form))


def _open_stages(training: Training) -> list[nn.Module]:
    """The stages that are not frozen."""
    return [stage for name, stage in training.model.stages.items() if name not in training.model.frozen]


def _is_still(stage: nn.Module) -> bool:
    """Whether a stage gives the same of the same at any time, as it has no weights and draws nothing."""
    return all(type(module) in (nn.Flatten, nn.Identity, nn.Sequential) for module in stage.modules())


class Group:
    """Steps trainings of one key, more of them or fewer from epoch to epoch."""

    def __init__(self) -> None:
        self._trunk: nn.ModuleDict | None = None
        self._members: list[Training] = []
        self._chunks: list[Lockstep] = []

    def admit(self, training: Training) -> None:
        """Let a training share the stages before the head with the others: equal ones need not lie in memory twice."""
        self._trunk = self._trunk or training.model.stages
        training.model.stages = self._trunk

    def step(self, members: Sequence[Training]) -> list[Mapping[str, float]]:
        """Train an epoch of each, then validate: what `step()` of each would have returned, in their order.

        Each is left as if it had stepped alone. Where this raises, some may be left amid an epoch.
        """
        if list(map(id, members)) != list(map(id, self._members)) or not all(each.is_current for each in self._chunks):
            for member in members:
                self.admit(member)
            self._members = list(members)
            self._chunks = [Lockstep(chunk) for chunk in _chunks(members)]
        data, stage = members[0].data, len(members[0].model.stages)
        train, validation = (members[0].entering(part, stage) for part in (data.train, data.validation))
        for chunk in self._chunks:
            chunk.begin()
        _at_once([partial(chunk.run, train, validation) for chunk in self._chunks], _n_threads(*_size(members[0])))
        results = {id(member): metrics for chunk in self._chunks for member, metrics in chunk.results()}
        for member in members:
            member.count_epoch()
        return [results[id(member)] for member in members]


def _n_threads(n_numbers: int, device: torch.device) -> int:
    """How many chunks run at once, each in a thread of its own: on a CPU, where products take most of the time.

    Threads within each product wait for each other at its end, and small ones are not worth any.
    """
    return torch.get_num_threads() if device.type == "cpu" and n_numbers >= stacked_parameters.ROWWISE else 1


def _size(training: Training) -> tuple[int, torch.device]:
    """How many numbers train, and where."""
    parameters = list(training.model.head.parameters())
    return sum(each.numel() for each in parameters), parameters[0].device


def _chunks(members: Sequence[Training]) -> list[list[Training]]:
    """Cut trainings into those that are stepped as one: of one kind of optimizer, and of batches of about one size."""
    n_numbers, device = _size(members[0])
    limit, most = LIMITS[device.type if device.type in LIMITS else "cuda"]
    most = max(1, min(most, limit // (4 * n_numbers), -(-len(members) // _n_threads(n_numbers, device))))
    chunks: list[list[Training]] = []
    before = None
    for kind, batch_size, _, member in sorted(
        (stacked_parameters.kind(member.method.optimizer) or "", member.method.batch_size, i, member)
        for i, member in enumerate(members)
    ):
        first = chunks[-1][0].method.batch_size if chunks else 0
        is_full = before is None or kind != before or len(chunks[-1]) >= most
        # Filling batches up to twice their size is worth it for few, where it saves steps of their own.
        if is_full or (batch_size > first and (2 * len(chunks[-1]) >= most or batch_size > 2 * first)):
            chunks.append([])
        chunks[-1].append(member)
        before = kind
    return chunks


def _at_once(calls: Sequence[Callable[[], None]], n_threads: int) -> None:
    """Make all calls, each in one of so many threads, with one thread of torch each; the first error is raised."""
    if n_threads == 1 or len(calls) == 1:
        for call in calls:
            call()
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            for done in [pool.submit(call) for call in calls]:
                done.result()
    finally:
        torch.set_num_threads(n_threads)
