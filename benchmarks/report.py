"""How a benchmark measures and prints: fresh processes, the machine, verdicts, a block for RESULTS.md."""

from __future__ import annotations

import math
import multiprocessing
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

from tabulate import tabulate

PACKAGES = ("torch", "torchvision", "optuna", "ray", "hpbandster")


def apart(function: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns in a fresh process, which is as a script of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start_as_usual) as pool:
        return pool.submit(function, *arguments).result()


def _start_as_usual() -> None:
    """Let a spawned process start its own, such as the workers of a DataLoader, as a script does by default."""
    multiprocessing.set_start_method(None, force=True)


def timed(function: Callable[..., Any], *arguments: object) -> tuple[float, Any]:
    """The seconds that a fresh process lives for a function, its imports included, and what that returns."""
    started = time.perf_counter()
    result = apart(function, *arguments)
    return time.perf_counter() - started, result


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_megabytes(whose: str = "self") -> float:
    """The most memory that this process, or the largest of its ended children, had at once (not on Windows)."""
    import resource

    who = resource.RUSAGE_SELF if whose == "self" else resource.RUSAGE_CHILDREN
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, kibibytes elsewhere
    return resource.getrusage(who).ru_maxrss * unit / 1e6


def machine() -> str:
    """Where and when this was measured."""
    words = [f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC", f"{platform.system()} {platform.machine()}"]
    words.append(f"{cores()} cores of {_cpu()}")
    if hasattr(os, "getloadavg"):
        words.append(f"load {os.getloadavg()[0]:.1f} at the start")
    if threads := os.environ.get("OMP_NUM_THREADS"):
        words.append(f"OMP_NUM_THREADS={threads}")
    return ", ".join([*words, f"Python {platform.python_version()}", *_versions()])


def _cpu() -> str:
    """The name of the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "an unknown processor"


def _versions() -> Iterable[str]:
    for name in PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def verdict(what: str, value: float, limit: float, unit: str, *, least: bool = False) -> str:
    """A line on a target: a value that must lie under the limit, or with `least` be no less than it."""
    reached = math.isfinite(value) and (value >= limit if least else value < limit)
    kind = "at least" if least else "under"
    return f"{'reached' if reached else 'MISSED'}  {what}; target {kind} {limit:g} {unit}"


def block(title: str, begun: str, header: Sequence[str], rows: Sequence[Sequence[object]], lines: Sequence[str]) -> str:
    """A section of RESULTS.md: the title, where and how it was measured, the table, and a line for each verdict."""
    private = ("--data", "--folder")  # whose folder it is, says nothing
    words = ["DIR" if before in private else word for before, word in pairwise(sys.argv)]
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
    table = tabulate([[_figure(cell) for cell in row] for row in rows], header, "github", disable_numparse=True)
    listed = "\n".join(f"- {line}" for line in lines)
    return "\n\n".join(part for part in (f"### {title}", f"{begun}.", f"`{command}`", table, listed) if part)


def _figure(cell: object) -> str:
    """A number with three digits that count."""
    if not isinstance(cell, float):
        return f"{cell:,}" if isinstance(cell, int) else str(cell)
    return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"


def note(text: str) -> None:
    """Say on stderr what is being measured."""
    print(f"... {text}", file=sys.stderr, flush=True)
