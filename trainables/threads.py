"""CPU cores: how many this process may use, and a context in which torch uses all of them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.control_groups import control_groups, text


def n_cores() -> int:
    """Return the number of CPU cores that this process may use, by its affinity and by the quota of its container."""
    n_allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return n_allowed if quota is None else min(n_allowed, max(1, math.ceil(quota)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the number of cores whose time the control groups of this process may use. None if there is no limit.

    Linux limits containers in this way. The limit of a group also holds for the groups in it, so the smallest one
    counts. `root` is the folder of `proc` and `sys`. https://docs.kernel.org/admin-guide/cgroup-v2.html has `cpu.max`,
    and https://docs.kernel.org/scheduler/sched-bwc.html the files of version 1.
    """
    groups = control_groups("cpu", root)
    quotas = [quota for group in groups if (quota := _quota(group.folder, is_v2=group.is_v2)) is not None]
    return min(quotas, default=None)


def _quota(group: Path, *, is_v2: bool) -> float | None:
    """The limit of one control group in cores. None if it has none, or if there is no such group."""
    if is_v2:
        numbers = text(group / "cpu.max").split()
    else:
        numbers = [text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    try:
        time, period = map(int, numbers)
    except ValueError:  # no file, or `max`
        return None
    return time / period if time > 0 and period > 0 else None


@contextmanager
def all_cores() -> Iterator[None]:
    """Let torch use all cores inside the `with` block. The number of threads is restored afterwards.

    Use it for computations that the other workers wait for: their cores are idle meanwhile.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
