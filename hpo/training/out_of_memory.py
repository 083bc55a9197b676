"""Trials that run out of memory: how this is recognised, and how such a trial is tried again.

A trial that runs out of memory has not crashed. It is tried again in a new process, or with all memory freed. If that
fails too and the study has `oom: accumulate`, its batches are computed in 2, 4, 8, ... parts, whose gradients are added
up. These are the gradients of the whole batch, except with BatchNorm and dropout (`docs/memory.md`). Each time it
continues from its last checkpoint. If nothing helps, the trial is infeasible: its Crash has a kind of
`hpo.trial.OUT_OF_MEMORY`.

A runner keeps an `Attempt` for each trial. After a Crash that `is_out_of_memory`, `next_attempt` says how to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpo.trial import OUT_OF_MEMORY, SETTINGS_AT_FAULT, Crash

if TYPE_CHECKING:
    from trainables.memory import MemoryKind

HYPERPARAMETERS = {"oom": ["infeasible", "accumulate"]}
MEANINGS = {"oom": "a trial that does not fit into memory: ends as infeasible, or computes each batch in parts"}

EXIT_STATUSES: Mapping[str, int] = {"HostOutOfMemory": 81, "GpuOutOfMemory": 82}
"""The exit status of a worker that ends because another process of its trial ran out of memory, by kind of Crash."""

DEFAULT_BATCH_SIZE = 64
"""The `batch_size` of a training that names none, see `trainables.training.gradient_descent`."""


@dataclass(frozen=True)
class Attempt:
    """How a trial is trained, after what went wrong before."""

    alone_on: MemoryKind | None = None
    """Where memory ran out, so that no other trial should train there: its GPU (`gpu`), or the whole machine (`host`).

    None: others may. `processes`, `fused` and `ray` keep to it, and with `inline` no other trial trains anyway.
    """
    micro_batches: int | None = None
    """The number of parts of each batch. None: what the trial has on record, or else its hyperparameter."""
    shortage: Crash | None = None
    """The shortage of memory that this attempt must avoid."""


def kind_of(error: Exception) -> str:
    """Return the kind of the Crash of an exception: where memory ran out, or else the class of the exception."""
    from trainables import memory

    place = memory.shortage(error)
    if place is None:
        return type(error).__name__
    return next(kind for kind, where in OUT_OF_MEMORY.items() if where == place)


def killed(trial: int, after: int, by: str = "the kernel") -> Crash:
    """Return the Crash of a trial whose worker was killed for its memory, after epoch `after`. `by` says by whom."""
    error = f"{by} killed its worker after epoch {after}, because the memory of the machine ran out"
    return Crash(trial, "HostOutOfMemory", error)


def of_death(trial: int, after: int, status: int | None, is_oom_kill: bool) -> Crash | None:
    """Return the Crash of a trial whose worker died after epoch `after` because memory ran out. None if it did not.

    `status` is the exit status of the worker, and `is_oom_kill` is the answer of the function of this name.
    """
    if is_oom_kill:
        return killed(trial, after)
    kind = next((kind for kind, number in EXIT_STATUSES.items() if number == status), None)
    error = f"one of its processes ran out of memory after epoch {after}"
    return None if kind is None else Crash(trial, kind, error)


def n_oom_kills() -> int | None:
    """Return how many processes the kernel killed because memory ran out, see `trainables.memory.n_oom_kills`."""
    from trainables import memory

    return memory.n_oom_kills()


def is_oom_kill(status: int | None, before: int | None, now: int | None) -> bool:
    """Whether the kernel killed a process because memory ran out. This is what can be known without its log:

    The process ended by SIGKILL (`status` -9), and the number of the kernel's kills of `n_oom_kills` rose from `before`
    to `now` while it trained. `kill -9` by a user changes no number. If another process of the group was killed for its
    memory at the same time, the answer may be wrong.
    """
    return status == -9 and before is not None and now is not None and now > before


def next_attempt(settings: Mapping[str, Any], attempt: Attempt, crash: Crash) -> Attempt | None:
    """Return how to try a trial again after `crash`, which ended `attempt`. None if that is not to be done.

    `settings` are all hyperparameters of the trial.
    """
    if not crash.is_out_of_memory:
        return None
    place = OUT_OF_MEMORY[crash.kind]
    if attempt.alone_on is None or (place, attempt.alone_on) == ("host", "gpu"):
        return replace(attempt, alone_on=place, shortage=crash)
    if not accumulates(settings):
        return None
    parts = 2 * (attempt.micro_batches or _whole_number(settings.get("micro_batches"), 1))
    if parts > _whole_number(settings.get("batch_size"), DEFAULT_BATCH_SIZE) // 2:  # a part has at least two images
        return None
    return replace(attempt, micro_batches=parts, shortage=crash)


def final(attempt: Attempt, crash: Crash) -> Crash:
    """Return the Crash of a trial that is not tried again after `attempt`, in which it ended with `crash`.

    If a training cannot compute its batches in parts, the trial ends with the shortage that it had before.
    """
    if (shortage := attempt.shortage) and attempt.micro_batches is not None and crash.kind in SETTINGS_AT_FAULT:
        attempt, crash = replace(attempt, micro_batches=None), shortage
    if not crash.is_out_of_memory:
        return crash
    tried = ", also when tried again" if attempt.alone_on else ""
    tried += f" and with its batches in up to {attempt.micro_batches} parts" if attempt.micro_batches else ""
    error = f"no memory was left{crash.error}" if crash.error.startswith("\n") else crash.error  # of a MemoryError
    return replace(crash, error=f"the trial does not fit into memory{tried}: {error}")


def accumulates(settings: Mapping[str, Any]) -> bool:
    """Whether batches may be computed in parts where memory runs out: `oom: accumulate`."""
    return settings.get("oom") == "accumulate"


def _whole_number(value: object, default: int) -> int:
    """A hyperparameter that is a whole number. The default if it has another value, which is an error elsewhere."""
    return value if isinstance(value, int) and value > 0 else default
