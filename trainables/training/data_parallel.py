"""Data-parallel training: several processes, the ranks, train one network together, each on a device of its own.

Each rank holds the whole network, the data, and the state of the training. All ranks draw the same batches with the
same augmentation and mixing. Each runs its share of a batch through the network. Then every rank gets the logits of the
whole batch, and computes the loss of the whole batch from them. So class weights, the focal loss, penalties, mixing and
batches of any size need no special case. PyTorch's DistributedDataParallel averages the gradients.

BatchNorm uses the statistics of the whole batch. Its layers stay what they are: while a share runs through the network,
calls of `torch.nn.functional.batch_norm` are answered by a version for several ranks. So layers that are derived from
BatchNorm, such as timm's, need no special case either.

The losses are those of one device up to rounding. This is not true of networks with dropout: each rank draws its own.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as distributed
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from trainables.seeding import random_state, seed_everything, set_random_state
from trainables.training.epochs import Forward

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

BACKENDS = {"cuda": "nccl", "cpu": "gloo"}
HOST = "127.0.0.1"
TIMEOUT = timedelta(days=7)
"""How long a rank waits for the others. It is long, because a rank may wait for data to be prepared."""


def open_store(n_ranks: int) -> TCPStore:
    """Return the store by which `n_ranks` processes of this machine find each other. It lives in this process.

    The other processes reach it by its `port`. It must live as long as the ranks.
    """
    return distributed.TCPStore(  # type: ignore[attr-defined]
        HOST, 0, n_ranks, is_master=True, timeout=TIMEOUT, wait_for_workers=False
    )


def connect_store(n_ranks: int, port: int) -> TCPStore:
    """Return the store that another process of this machine has opened."""
    return distributed.TCPStore(  # type: ignore[attr-defined]
        HOST, port, n_ranks, is_master=False, timeout=TIMEOUT
    )


def join(rank: int, n_ranks: int, device: str, store: TCPStore) -> None:
    """Make this process the rank number `rank` of `n_ranks`. Waits for the other ranks.

    `device` is that of this rank (cpu, cuda:1, ...). Without a number, cuda is the first GPU.
    """
    # Convolutions with one input channel or of 1 x 1 pixels have equivalent strides that differ in numbers.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    kind = torch.device(device)
    if kind.type == "cuda":
        torch.cuda.set_device(kind.index or 0)  # it refuses a device without a number
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the name of this machine may stand for no address
    distributed.init_process_group(BACKENDS[kind.type], store=store, rank=rank, world_size=n_ranks, timeout=TIMEOUT)


def leave() -> None:
    """Make this process an ordinary one again. The other ranks may have ended already."""
    if is_on():
        distributed.destroy_process_group()


def is_on() -> bool:
    """Whether this process is one of several ranks."""
    return distributed.is_available() and distributed.is_initialized()


class ForwardOverRanks:
    """The forward functions of one training, which divide each batch over the ranks.

    In a process that is no rank, they are those that are passed in. All ranks must do the same with the same batches.
    """

    def __init__(self) -> None:
        self._module: DistributedDataParallel | None = None

    @contextlib.contextmanager
    def training(self, network: nn.Module, forward: Forward, device: str) -> Iterator[Forward]:
        """Return the forward function of an epoch of training, for `forward`, which runs `network`.

        It returns the logits of the whole batch, but its gradient reaches the share of this rank alone. In the first
        epoch, all ranks get the weights and statistics that rank 0 has. Inside this context, torch's global generators
        are those of the rank, for dropout. They follow from their states before, which must be the same on all ranks.
        Afterwards, they are the same on all ranks again.
        """
        if not is_on():
            yield forward
            return
        if self._module is None:
            # The statistics of BatchNorm need no broadcasts: all ranks compute the same ones.
            self._module = DistributedDataParallel(_ForwardModule(network, forward), forward_sync_buffers=False)
        seed = int(torch.randint(2**62, ()))
        state = random_state(device)
        seed_everything(seed + distributed.get_rank())
        yield self._forward
        set_random_state(state, device)

    def evaluation(self, forward: Forward) -> Forward:
        """Return the forward function of an evaluation without gradients."""
        if not is_on():
            return forward

        def run(inputs: Tensor) -> Tensor:
            rows = _share(len(inputs))
            return _all_rows(forward(inputs[rows]), rows, len(inputs))

        return run

    def _forward(self, inputs: Tensor) -> Tensor:
        assert self._module is not None
        rows = _share(len(inputs))
        with _BatchNormOverRanks():
            logits = self._module(inputs[rows])
        whole: Tensor = _AllRows.apply(logits, rows, len(inputs))  # type: ignore[no-untyped-call]
        return whole


def _share(n: int) -> slice:
    """Return the rows of a batch of `n` samples that this rank runs. With fewer samples than ranks, some have none."""
    rank, n_ranks = distributed.get_rank(), distributed.get_world_size()
    return slice(rank * n // n_ranks, (rank + 1) * n // n_ranks)


class _ForwardModule(nn.Module):
    """A module whose forward pass is a function that runs `network`."""

    def __init__(self, network: nn.Module, forward: Forward) -> None:
        super().__init__()
        self._network = network
        self._run = forward

    def forward(self, inputs: Tensor) -> Tensor:
        return self._run(inputs)


def _all_rows(rows_of_rank: Tensor, rows: slice, n: int) -> Tensor:
    """Return the rows of all ranks, (n, ...)."""
    whole = rows_of_rank.new_zeros(n, *rows_of_rank.shape[1:])
    whole[rows] = rows_of_rank
    distributed.all_reduce(whole)
    return whole


class _AllRows(Function):
    """The rows of all ranks. Its gradient is that of the rank's own rows, times the number of ranks.

    DistributedDataParallel divides the sum of the gradients of all ranks by their number. All ranks compute the same
    loss, so what belongs to no rank, such as a penalty on the weights, has the same gradient on each, and stays.
    """

    @staticmethod
    def forward(context: Any, rows_of_rank: Tensor, rows: slice, n: int) -> Tensor:
        context.rows = rows
        return _all_rows(rows_of_rank, rows, n)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[context.rows] * distributed.get_world_size(), None, None


class _SumOverRanks(Function):
    """The sum of a tensor over all ranks. Each rank's tensor influences the loss through the others' gradients too."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        return _sum_over_ranks(values)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _sum_over_ranks(gradient)


def _sum_over_ranks(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


class _BatchNormOverRanks(TorchFunctionMode):
    """Inside this context, `functional.batch_norm` uses the statistics of the batches of all ranks in training."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        if function is functional.batch_norm:
            return _batch_norm(*arguments, **(keywords or {}))
        return function(*arguments, **(keywords or {}))


def _batch_norm(
    inputs: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`functional.batch_norm` of (n, channels, ...) over all ranks. In evaluation it is the usual one."""
    if not training:
        return functional.batch_norm(inputs, running_mean, running_var, weight, bias, False, momentum, eps)
    if inputs.device.type == "cuda":
        return _batch_norm_cuda(inputs, running_mean, running_var, weight, bias, momentum, eps)
    values, dimensions = inputs.float(), [0, *range(2, inputs.ndim)]
    n = float(_sum_over_ranks(torch.tensor(float(inputs.numel() // inputs.shape[1]))))
    mean = _over_ranks(values.sum(dimensions)) / n
    centred = values - _by_channel(mean, inputs)
    variance = _over_ranks(centred.square().sum(dimensions)) / n
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((variance * n / (n - 1)).to(running_var), momentum)
    normalized = centred * _by_channel((variance + eps).rsqrt(), inputs)
    if weight is not None:
        normalized = normalized * _by_channel(weight, inputs)
    if bias is not None:
        normalized = normalized + _by_channel(bias, inputs)
    return normalized.to(inputs.dtype)


def _batch_norm_cuda(
    inputs: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    """What `torch.nn.SyncBatchNorm` computes. PyTorch has it for CUDA only."""
    from torch.nn.modules._functions import SyncBatchNorm

    group, n_ranks = distributed.group.WORLD, distributed.get_world_size()
    settings = eps, momentum, group, n_ranks
    found: Tensor = SyncBatchNorm.apply(  # type: ignore[no-untyped-call]
        inputs, weight, bias, running_mean, running_var, *settings
    )
    return found


def _over_ranks(values: Tensor) -> Tensor:
    total: Tensor = _SumOverRanks.apply(values)  # type: ignore[no-untyped-call]
    return total


def _by_channel(values: Tensor, inputs: Tensor) -> Tensor:
    """Values of the channels, (channels,), in a shape that fits inputs (n, channels, ...)."""
    return values.reshape(1, -1, *[1] * (inputs.ndim - 2))
