"""Memory of this process and of its device, in GiB: the peak."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
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


def _is_gpu(device: str) -> bool:
    return device.startswith("cuda")


def _gib(n_bytes: int) -> float:
    return round(n_bytes / GIB, 4)
