"""The slots of a machine: which device each uses, and with how many threads."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field

from hpo.errors import Mistake


@dataclass(frozen=True)
class Slot:
    """A place where one trial trains at a time."""

    device: str
    """What torch calls the device inside the slot: cpu, cuda, cuda:1."""
    threads: int
    """Threads of torch's CPU operations."""
    environment: dict[str, str] = field(default_factory=dict)
    """Set in the slot's process before torch is imported."""

    @property
    def name(self) -> str:
        """What the device is called on this machine: cpu, cuda:1."""
        return f"cuda:{self.environment['CUDA_VISIBLE_DEVICES']}" if self.device == "cuda" else self.device


def plan_slots(devices: str, per_device: int | None) -> list[Slot]:
    """The slots of `devices` (auto, cpu, or cuda:0,cuda:1), each alone with its device and its threads.

    On the CPU there is a slot a core, or `per_device`; the cores are dealt out among them. Each GPU has
    one slot, or `per_device`, and sees no other GPU. Raises Mistake for a device that is none.
    """
    if per_device is not None and per_device < 1:
        raise Mistake(f"--slots {per_device}: at least 1 is allowed")
    gpus = _gpus(devices)
    cores = n_cores()
    if not gpus:
        n_slots = per_device or cores
        return [_slot("cpu", max(1, cores // n_slots), {"CUDA_VISIBLE_DEVICES": ""})] * n_slots
    n_slots = len(gpus) * (per_device or 1)
    threads = max(1, cores // n_slots)
    return [_slot("cuda", threads, {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus for _ in range(per_device or 1)]


def main_device(devices: str) -> str:
    """The one device of a runner that trains in this process."""
    gpus = _gpus(devices)
    return f"cuda:{visible_gpus().index(gpus[0])}" if gpus else "cpu"


def n_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The GPUs of this machine, as CUDA_VISIBLE_DEVICES names them; found without torch."""
    limited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if limited is not None:
        return [name.strip() for name in limited.split(",") if name.strip() not in ("", "-1")]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=index", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []  # a driver that does not answer trains nothing either
    return answer.stdout.split() if answer.returncode == 0 else []


def _slot(device: str, threads: int, environment: dict[str, str]) -> Slot:
    counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    # CUDA would number the GPUs by speed, nvidia-smi numbers them by place.
    return Slot(device, threads, {**environment, **counts, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})


def _gpus(devices: str) -> list[str]:
    """The GPUs that `devices` asks for, as CUDA_VISIBLE_DEVICES names them; none for the CPU."""
    if devices == "cpu":
        return []
    visible = visible_gpus()
    if devices == "auto":
        return visible
    gpus = []
    for name in devices.split(","):
        match = re.fullmatch(r"cuda(?::(\d+))?", name.strip())
        if match is None:
            raise Mistake(f"--devices {devices}: {name!r} is no device (allowed: auto, cpu, or a list such as cuda:0)")
        index = int(match[1] or 0)
        if index >= len(visible):
            raise Mistake(f"--devices {devices}: this machine has {len(visible)} CUDA devices, so no {name!r}")
        gpus.append(visible[index])
    return gpus
