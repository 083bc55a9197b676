"""Memory of this process and of its device: its peak, how to free it, and how to tell that it ran out."""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainables.control_groups import control_groups, text

GIB = 2**30
MemoryKind = Literal["host", "gpu"]
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


@dataclass(frozen=True)
class Peak:
    """The most memory that was in use at one moment, in GiB."""

    host: float | None
    """The main memory of this process alone. None if the system does not tell."""
    gpu: float | None
    """The tensors of this process on its GPU. None if the device is no GPU."""


def reset_peak(device: str) -> None:
    """Start to measure `peak` anew. `device` is cpu, cuda, cuda:1, ..."""
    reset_host_peak()
    if _is_gpu(device):
        import torch

        # Before CUDA is initialized, torch knows no allocator of the device, and nothing is allocated.
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
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
    if (found := _number(status, "VmHWM:", 1024)) is not None:
        return _gib(found)
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _gib(most if sys.platform == "darwin" else most * 1024)  # macOS counts bytes, other systems KiB


def host_peak_of(pid: int | None) -> float | None:
    """Return what `host_peak` returns for another process. None if it has ended, or if the system does not tell."""
    found = _number(Path(f"/proc/{pid}/status"), "VmHWM:", 1024)
    return None if found is None else _gib(found)


def reset_host_peak(pid: int | None = None) -> None:
    """Start to measure `host_peak` anew for a process, by default this one, if the system can."""
    with contextlib.suppress(OSError):  # Linux forgets the peak of a process when 5 is written here
        Path(f"/proc/{pid or 'self'}/clear_refs").write_text("5")


def free_gpu(device: str) -> float:
    """Return the memory of a GPU that no other process uses, in GiB."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return _gib(free + torch.cuda.memory_reserved(device) + _cuda_itself(device))


def need_of_gpu(device: str) -> float:
    """Return the memory that this process needed on a GPU, in GiB: what torch reserved at most, and CUDA's own part."""
    import torch

    return _gib(torch.cuda.max_memory_reserved(device) + _cuda_itself(device))


def _cuda_itself(device: str) -> int:
    """The bytes that CUDA keeps on a GPU for this process, beside the blocks of torch.

    CUDA does not tell. It is taken for all that is in use beside the blocks, but for at most 1 GiB, because other
    processes may use the GPU.
    """
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return max(0, min(total - free - torch.cuda.memory_reserved(device), GIB))


def available_host(root: Path = Path("/")) -> float | None:
    """Return the main memory that new processes can get, in GiB. None if the system does not tell.

    It is what Linux estimates (`MemAvailable`), or what the control groups of this process leave, if that is less.
    Files that Linux keeps in memory and can drop count as free. `root` is the folder of `proc` and `sys`.
    """
    known = [_number(root / "proc" / "meminfo", "MemAvailable:", 1024)]
    for folder, is_v2 in control_groups("memory", root):
        names = ("memory.max", "memory.current") if is_v2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        limit, used = (text(folder / name).strip() for name in names)
        dropped = _number(folder / "memory.stat", "inactive_file" if is_v2 else "total_inactive_file") or 0
        if limit.isdecimal() and used.isdecimal():
            known.append(int(limit) - int(used) + dropped)
    found = [n_bytes for n_bytes in known if n_bytes is not None]
    return _gib(max(0, min(found))) if found else None


class _EnoughSteps(BaseException):
    """Ends a training. It is no Exception, so that training code does not catch it."""


@contextlib.contextmanager
def limited_steps(n: int) -> Iterator[None]:
    """End the `with` block after `n` steps of any optimizer of torch. No error is raised."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    n_steps = 0

    def count(*_: object) -> None:
        nonlocal n_steps
        n_steps += 1
        if n_steps == n:
            raise _EnoughSteps

    handle = register_optimizer_step_post_hook(count)
    try:
        with contextlib.suppress(_EnoughSteps):
            yield
    finally:
        handle.remove()


def shortage(error: BaseException) -> MemoryKind | None:
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
    counter = _kill_counter(root)
    return None if counter is None else _number(counter, "oom_kill")


@functools.cache
def _kill_counter(root: Path) -> Path | None:
    """The file that counts the kills. A process rarely changes its control group, so it is looked for once."""
    groups = reversed(control_groups("memory", root))
    files = [group.folder / ("memory.events" if group.is_v2 else "memory.oom_control") for group in groups]
    known = (path for path in (*files, root / "proc" / "vmstat") if _number(path, "oom_kill") is not None)
    return next(known, None)


def _number(path: Path, name: str, factor: int = 1) -> int | None:
    """The number after `name` at the beginning of a line of a file, times `factor`. None if there is none."""
    for line in text(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdecimal():
            return int(words[1]) * factor
    return None


def _is_gpu(device: str) -> bool:
    return device.startswith("cuda")


def _gib(n_bytes: int) -> float:
    return round(n_bytes / GIB, 4)
