"""Groups of fused trainings: which trainings can be fused, and the Group that trains them together.

If a training updates only a few linear layers and its inputs never change, the processor is mostly idle. If many such
trainings differ only in hyperparameters (learning rate, seed, optimizer, batch size, ...), their layers are stacked.
One batched matrix product then computes a layer of all of them. Each training keeps its own order of the samples,
optimizer, schedule and random state. The idea is that of HFTA (S. Wang et al., Horizontally Fused Training Array, MLSys
2021, arXiv 2102.02344).
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

MAX_PARAMETERS = 2**21
"""The largest number of trained parameters (scalars) of a fused training. A larger one keeps a processor busy alone."""
CHUNK_LIMITS = {"cpu": (2**21, 64), "cuda": (2**28, 1024)}
"""The largest chunk by type of device: the bytes of its parameters, and the number of its trainings.

On a CPU, the bytes are what fits into its cache.
"""
MAX_LOGITS_BYTES = 2**30
"""The largest size of the validation logits of a chunk, which are kept until the metrics are computed from them.

Those of a member that are few enough for `predictions.offered` are kept until it releases them.
"""


def key(trainable: object) -> Hashable | None:
    """Return a key that is equal for trainings that can be fused together, or None if `trainable` must train alone.

    A training can be fused under these conditions: only its head has weights that train. All layers of the head can be
    stacked (`stacked_layers.stackable_layers`), and it has at most MAX_PARAMETERS parameters. The inputs of the head
    are the same in every epoch, and there is room to cache them. The loss is a classifier's, and an L2 penalty sums all
    weights of the head. The optimizer has a kind (`stacked_parameters.optimizer_kind`). No batch is computed in parts,
    and no stage begins to train later.

    Two such trainings have the same key if they have the same data, metric of the user, inputs of the head, precision,
    device, and head layers.
    """
    if type(trainable) is not Training:
        return None
    model, optimization, loss = trainable.trained_model, trainable.optimization, trainable.classifier_loss
    layers, head_parameters = stacked_layers.stackable_layers(model.head), list(model.head.parameters())
    trained = [parameter for group in optimization.optimizer.param_groups for parameter in group["params"]]
    if not layers or loss is None or not model.stages or not all(map(_is_constant, _unfrozen_stages(trainable))):
        return None
    if {id(parameter) for parameter in trained} != {id(parameter) for parameter in head_parameters}:
        return None
    if stacked_parameters.optimizer_kind(optimization.optimizer) is None or optimization.micro_batches > 1:
        return None
    if optimization.unfreezing is not None:
        return None
    weights = [parameter for parameter in head_parameters if parameter.ndim > 1]
    if loss.l2 and {id(weight) for weight in loss.weights} != {id(weight) for weight in weights}:
        return None
    if sum(parameter.numel() for parameter in head_parameters) > MAX_PARAMETERS:
        return None
    fingerprint = trainable.fingerprint(len(model.stages))
    if fingerprint is None:
        return None
    data, device = trainable.data, str(head_parameters[0].device)
    parts = id(data.train), id(data.validation), id(data.own_metric)
    return *parts, fingerprint, optimization.bf16, device, tuple(map(str, layers))


def _unfrozen_stages(training: Training) -> list[nn.Module]:
    model = training.trained_model
    return [stage for name, stage in model.stages.items() if name not in model.frozen]


def _is_constant(stage: nn.Module) -> bool:
    """Return whether a stage always computes the same output for an input: it has no weights and no randomness."""
    return all(type(module) in (nn.Flatten, nn.Identity, nn.Sequential) for module in stage.modules())


class Group:
    """Trains all trainings that have one key together, epoch by epoch. Its members may change between epochs."""

    def __init__(self, *, offers_logits: bool = True) -> None:
        """`offers_logits` says whether each member is given the logits of its validation, until it releases them."""
        self._offers_logits = offers_logits
        self._shared_stages: nn.ModuleDict | None = None
        self._members: list[Training] = []
        self._chunks: list[Lockstep] = []

    def admit(self, training: Training) -> None:
        """Replace the stages of a training by those of the first member, to save memory. They are equal."""
        self._shared_stages = self._shared_stages or training.trained_model.stages
        training.trained_model.stages = training.model.stages = self._shared_stages

    def step(self, members: Sequence[Training]) -> list[Mapping[str, float]]:
        """Train one epoch of each member, then validate. Returns the metrics of each, in the order of `members`.

        The metrics and the state of each member are the same as after its own `step`, up to rounding errors. If this
        raises, some members may be left in the middle of an epoch.
        """
        if list(map(id, members)) != list(map(id, self._members)) or not all(
            chunk.is_current for chunk in self._chunks
        ):
            for member in members:
                self.admit(member)
            self._members = list(members)
            self._chunks = [Lockstep(chunk, offers_logits=self._offers_logits) for chunk in _chunks(members)]
        data, n_stages = members[0].data, len(members[0].model.stages)
        train, validation = (members[0].stage_inputs(part, n_stages) for part in (data.train, data.validation))
        for chunk in self._chunks:
            chunk.begin()
        _run_all([partial(chunk.run, train, validation) for chunk in self._chunks], _n_threads(*_head_size(members[0])))
        results = {id(member): metrics for chunk in self._chunks for member, metrics in chunk.results()}
        for member in members:
            member.count_epoch()
        return [results[id(member)] for member in members]


def _n_threads(n_parameters: int, device: torch.device) -> int:
    """Return the number of chunks that run at the same time, each in its own thread.

    It is above 1 only on a CPU and for heads so large that matrix products take most of the time. One thread per chunk
    is faster than several threads per product, because those wait for each other after each product.
    """
    if device.type == "cpu" and n_parameters >= stacked_parameters.MIN_ROWWISE_SIZE:
        return torch.get_num_threads()
    return 1


def _head_size(training: Training) -> tuple[int, torch.device]:
    """Return the number of parameters (scalars) of the head, and its device."""
    parameters = list(training.trained_model.head.parameters())
    return sum(parameter.numel() for parameter in parameters), parameters[0].device


def _chunks(members: Sequence[Training]) -> list[list[Training]]:
    """Divide trainings into chunks that are stepped together: with one kind of optimizer and similar batch sizes."""
    n_parameters, device = _head_size(members[0])
    max_bytes, max_members = CHUNK_LIMITS[device.type if device.type in CHUNK_LIMITS else "cuda"]
    data = members[0].data
    max_members = min(max_members, MAX_LOGITS_BYTES // (4 * len(data.validation) * len(data.classes)))
    members_per_thread = -(-len(members) // _n_threads(n_parameters, device))
    max_members = max(1, min(max_members, max_bytes // (4 * n_parameters), members_per_thread))
    chunks: list[list[Training]] = []
    previous_kind = None
    kinds = [stacked_parameters.optimizer_kind(member.optimization.optimizer) or "" for member in members]
    batch_sizes = [member.optimization.batch_size for member in members]
    # The index breaks ties, because trainings cannot be compared.
    for kind, batch_size, _, member in sorted(zip(kinds, batch_sizes, range(len(members)), members, strict=True)):
        smallest = chunks[-1][0].optimization.batch_size if chunks else 0
        is_full = previous_kind is None or kind != previous_kind or len(chunks[-1]) >= max_members
        # Smaller batches are padded to the size of the largest. Padding to at most twice the size is worth it while the
        # chunk has few members, because it saves the steps of another chunk.
        if is_full or (batch_size > smallest and (2 * len(chunks[-1]) >= max_members or batch_size > 2 * smallest)):
            chunks.append([])
        chunks[-1].append(member)
        previous_kind = kind
    return chunks


def _run_all(calls: Sequence[Callable[[], None]], n_threads: int) -> None:
    """Make all calls in `n_threads` threads, in each of which torch uses one thread. Raises the first error."""
    if n_threads == 1 or len(calls) == 1:
        for call in calls:
            call()
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            for future in [pool.submit(call) for call in calls]:
                future.result()
    finally:
        torch.set_num_threads(n_threads)
