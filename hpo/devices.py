"""The slots of a machine: the device that each uses, and the number of its threads."""

from __future__ import annotations

import functools
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import takewhile

from hpo.errors import UserError

DEVICE_FILES = ("/dev/nvidiactl", "/dev/nvhost-ctrl", "/dev/dxg")
"""The files of NVIDIA's drivers: the usual one, of Jetson boards, of WSL."""

TIMEOUT_SECONDS = 30
"""How long `nvidia-smi` may take. With a persistent driver it takes less than a second."""


@dataclass(frozen=True)
class Slot:
    """A place for training. It trains one trial at a time."""

    device: str
    """The name of the device in torch, inside the slot's process: cpu, cuda, cuda:1."""
    threads: int
    """The number of threads of torch's CPU operations."""
    environment: dict[str, str] = field(default_factory=dict)
    """Environment variables, which are set in the slot's process before torch is imported."""
    n_devices: int = 1
    """The number of devices that train a trial together. `device` is the first of them."""

    @property
    def name(self) -> str:
        """The name of the device on this machine: cpu, cuda:1. Several GPUs are cuda:0,1."""
        return f"cuda:{self.environment['CUDA_VISIBLE_DEVICES']}" if self.device == "cuda" else self.device


def plan_slots(devices: str, per_device: int | None, per_trial: int = 1) -> list[Slot]:
    """Plan the slots on `devices`: `auto`, `cpu`, or a list of GPUs such as `cuda:0,cuda:1`.

    On the CPU there are `per_device` slots, by default one for each core. On GPUs there are `per_device` slots for each
    GPU, by default one, and a slot sees no other GPU. The cores are divided among the slots.

    With `per_trial` above 1, a slot has so many GPUs, or so many processes on the CPU, which train one trial together.
    There are `per_device` slots for each such group of GPUs. GPUs that are too few for another group are not used.

    Raises UserError if a device does not exist, or if there are fewer GPUs or cores than `per_trial`.
    """
    if per_device is not None and per_device < 1:
        raise UserError(f"slots {per_device}: at least 1 is allowed")
    gpus = _requested_gpus(devices)
    cores = n_cores()
    if not gpus:
        if per_trial > (most := max(cores, 2)):  # two can be tried on any machine
            raise UserError(f"devices_per_trial {per_trial}: this machine has {cores} cores (allowed: 1 to {most})")
        n_slots = per_device or max(1, cores // per_trial)
        n_threads = max(1, cores // (n_slots * per_trial))
        return [_slot("cpu", n_threads, {"CUDA_VISIBLE_DEVICES": ""}, per_trial)] * n_slots
    groups = [",".join(gpus[start : start + per_trial]) for start in range(0, len(gpus) - per_trial + 1, per_trial)]
    if not groups:
        raise UserError(
            f"devices_per_trial {per_trial}: `devices {devices}` gives {len(gpus)} "
            f"{'GPU' if len(gpus) == 1 else 'GPUs'} (allowed: 1 to {len(gpus)})"
        )
    n_threads = max(1, cores // (len(groups) * (per_device or 1) * per_trial))
    return [
        _slot("cuda", n_threads, {"CUDA_VISIBLE_DEVICES": group}, per_trial)
        for group in groups
        for _ in range(per_device or 1)
    ]


def slots_for(devices: str, n_trainings: int) -> int | None:
    """Return how many slots on each device suit so few trainings. None for the default.

    On the CPU, each slot has its share of the cores. A slot without a training would leave its cores idle, so there are
    no more slots than can be used to the end.
    """
    if _requested_gpus(devices):
        return None
    n_rounds = math.ceil(n_trainings / n_cores())
    return math.ceil(n_trainings / n_rounds)


def main_device(devices: str) -> str:
    """The device for a runner that trains in this process: the first GPU of `devices`, or the CPU."""
    gpus = _requested_gpus(devices)
    return f"cuda:{visible_gpus().index(gpus[0])}" if gpus else "cpu"


def n_cores() -> int:
    """The number of CPU cores that this process may use, by its affinity and by the quota of its container."""
    from trainables import threads

    return threads.n_cores()


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them. They are found without torch.

    As CUDA does, it reads CUDA_VISIBLE_DEVICES up to the first name that is no GPU of this machine, such as -1, none or
    NoDevFiles.
    """
    limited = os.environ.get("CUDA_VISIBLE_DEVICES")
    tool = shutil.which("nvidia-smi")
    if limited is None:
        if (listed := listed_gpus(tool)) is None:
            _warn_of_unknown_gpus()
        return list(listed or {})
    names = [name.strip() for name in limited.split(",")]
    gpus = listed_gpus(tool) if any(map(_may_be_gpu, names)) else {}
    return list(takewhile(lambda name: _is_gpu(name, gpus), names))


@functools.cache
def listed_gpus(tool: str | None, device_files: tuple[str, ...] = DEVICE_FILES) -> dict[str, str] | None:
    """The number and the UUID of each GPU of this machine, as `nvidia-smi` lists them. It is asked once in a process.

    None if they are unknown: the files of a driver exist, but there is no `nvidia-smi`, or it fails or does not answer.

    Args:
        tool: the path of `nvidia-smi`. None if it is not on PATH.
        device_files: the files that exist if NVIDIA's driver is loaded.
    """
    unknown = None if any(map(os.path.exists, device_files)) else dict[str, str]()
    if tool is None:
        return unknown
    query = [tool, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return unknown
    if answer.returncode != 0:
        return unknown
    pairs = [line.partition(",") for line in answer.stdout.splitlines() if line.strip()]
    return {number.strip(): uuid.strip() for number, _, uuid in pairs}


@functools.cache
def _warn_of_unknown_gpus() -> None:
    """Say once in a process that GPUs may be left unused."""
    print(
        "hpo: this machine has a driver of NVIDIA, but `nvidia-smi` lists no GPU: the CPU is used, unless "
        "CUDA_VISIBLE_DEVICES names GPUs (`--devices cpu` hides this line)",
        file=sys.stderr,
    )


def _may_be_gpu(name: str) -> bool:
    """Whether a name in CUDA_VISIBLE_DEVICES has the form of a GPU: a number, or the beginning of a UUID."""
    return name.isdecimal() or name.startswith(("GPU-", "MIG-"))


def _is_gpu(name: str, gpus: dict[str, str] | None) -> bool:
    """Whether a name in CUDA_VISIBLE_DEVICES is one of the GPUs of this machine. None stands for unknown GPUs."""
    if gpus is None or name.startswith("MIG-"):  # MIG devices are not listed
        return gpus != {} and _may_be_gpu(name)
    return name in gpus or (name.startswith("GPU-") and any(uuid.startswith(name) for uuid in gpus.values()))


def _slot(device: str, n_threads: int, environment: dict[str, str], n_devices: int) -> Slot:
    limits = {name: str(n_threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    # By default CUDA numbers GPUs by speed, but nvidia-smi numbers them by PCI bus.
    return Slot(device, n_threads, {**environment, **limits, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, n_devices)


def _requested_gpus(devices: str) -> list[str]:
    """The GPUs that `devices` asks for, as CUDA_VISIBLE_DEVICES names them. Empty for the CPU."""
    if devices == "cpu":
        return []
    visible = visible_gpus()
    if devices == "auto":
        return visible
    gpus = []
    for name in devices.split(","):
        match = re.fullmatch(r"cuda(?::(\d+))?", name.strip())
        if match is None:
            raise UserError(f"devices {devices}: {name!r} is no device (allowed: auto, cpu, or a list such as cuda:0)")
        index = int(match[1] or 0)
        if index >= len(visible):
            raise UserError(f"devices {devices}: this machine has {len(visible)} CUDA devices, so no {name!r}")
        gpus.append(visible[index])
    return gpus
