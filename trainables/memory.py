"""Memory of this process and of its device: its peak, how to free it, and how to tell that it ran out."""

from __future__ import annotations

import contextlib
import errno
import gc
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainables.control_groups import control_groups, text

GIB = 2**30
Place = Literal["host", "gpu"]
"""Where memory can run out: the main memory of the machine, or that of a GPU."""
_GPU_TEXTS = (
    "CUDA out of memory",
    "HIP out of memory",
    "CUDA error: out of memory",
    "cudaErrorMemoryAllocation",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_HOST_TEXTS = ("DefaultCPUAllocator: ", "std::bad_alloc", "Cannot allocate memory", "unable to mmap")
"""What a RuntimeError of torch says if memory ran out. The CPU allocator raises no other error."""
STATUS = Path("/proc/self/status")
"""Linux writes the memory of a process here: https://docs.kernel.org/filesystems/proc.html."""
CLEAR_REFS = Path("/proc/self/clear_refs")
"""Linux forgets the peak of a process when 5 is written here."""


@dataclass(frozen=True)
class Peak:
    """The most memory that was in use at one moment, in GiB."""

    host: float | None
    """The main memory of this process alone. None if the system does not tell."""
    gpu: float | None
    """The tensors of this process on its GPU. None if the device is no GPU."""


def reset_peak(device: str) -> None:
    """Start to measure `peak` anew. `device` is cpu, cuda, cuda:1, ..."""
    with contextlib.suppress(OSError):
        CLEAR_REFS.write_text("5")
    if _is_gpu(device):
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def peak(device: str) -> Peak:
    """Return the peak since the last `reset_peak`. Where the system cannot reset that of the host, since the start."""
    gpu = None
    if _is_gpu(device):
        import torch

        gpu = _gib(torch.cuda.max_memory_allocated(device))
    return Peak(host_peak(), gpu)


def host_peak(status: Path = STATUS) -> float | None:
    """Return the most main memory that this process had at one moment. `status` is the file in which Linux says it."""
    with contextlib.suppress(OSError):
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return _gib(int(line.split()[1]) * 1024)
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _gib(most if sys.platform == "darwin" else most * 1024)  # macOS counts bytes, other systems KiB


def shortage(error: BaseException) -> Place | None:
    """Return where memory ran out if that is what raised `error`, else None. The causes of an error count too."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
            return "host"
        if isinstance(cause, RuntimeError):
            message = str(cause)
            if type(cause).__name__ == "OutOfMemoryError" or any(text in message for text in _GPU_TEXTS):
                return "gpu"
            if any(text in message for text in _HOST_TEXTS):
                return "host"
        cause = cause.__cause__
    return None


def release(device: str) -> None:
    """Free what nothing uses any more: objects in reference cycles, and blocks that torch keeps on a GPU."""
    gc.collect()
    if _is_gpu(device):
        import torch

        torch.cuda.empty_cache()


def n_oom_kills(root: Path = Path("/")) -> int | None:
    """Return how many processes of the control group of this process the kernel killed because memory ran out.

    Without such a group it is the number for the whole machine, and None if the kernel does not tell. The number does
    not say which processes these were. `root` is the folder of `proc` and `sys`.
    """
    for group in reversed(control_groups("memory", root)):
        found = _count(group.folder / ("memory.events" if group.is_v2 else "memory.oom_control"))
        if found is not None:
            return found
    return _count(root / "proc" / "vmstat")


def _count(path: Path) -> int | None:
    """The number after `oom_kill` in a file. None if there is none."""
    for line in text(path).splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill" and number.strip().isdecimal():
            return int(number)
    return None


def _is_gpu(device: str) -> bool:
    return device.startswith("cuda")


def _gib(n_bytes: int) -> float:
    return round(n_bytes / GIB, 4)
