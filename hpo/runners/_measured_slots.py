"""The number of slots for `--slots auto`: as many trials at once on a device as fit into its memory.

The largest configuration of each regime and model is measured, one after another, each in a worker process of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from multiprocessing import connection

from hpo.devices import Slot, n_cores, plan_slots
from hpo.errors import MachineError, TaskError
from hpo.runners._runner import HUNG, crash, has_hung, is_preparing, worker_died
from hpo.runners._worker_process import Process, ready
from hpo.space.largest_configurations import largest_configurations
from hpo.training.builder import Job
from hpo.training.memory_need import Need, available_host, measure
from hpo.training.out_of_memory import killed
from hpo.trial import Config, Crash

USED_SHARE = 0.9
"""The share of the free memory that trials may need, because a measurement is not exact."""
NAMED = ("regime", "model", "image_size", "batch_size", "micro_batches")
"""The hyperparameters that a message names, because memory depends on them most."""


def measured_slots(
    job: Job,
    devices: str,
    notify: Callable[[str], None],
    *,
    devices_per_trial: int = 1,
    report_timeout: float | None = None,
) -> int:
    """Measure how many trials fit on each of `devices` at once, at least 1, and tell the user what was found.

    The first of the devices is measured, and the others are taken to be alike. If several devices train each trial
    together, each is taken to need as much as one device alone, which is more than it does. A measurement ends after
    `report_timeout` seconds, like an epoch. Raises a UserError if a device does not exist or if the task cannot be
    trained, and a MachineError.
    """
    job.check_can_be_sent()
    slots = plan_slots(devices, 1, devices_per_trial)
    slot = slots[0]
    available = available_host()
    needs: list[tuple[Config, Need]] = []
    notes: dict[str, str] = {}
    """The lines about configurations that cannot be measured, by the reason: each reason is given once."""
    for config in largest_configurations(job.space):
        found = _measure(job, slot, config, report_timeout)
        if isinstance(found, Need):
            needs.append((config, found))
        elif found.is_out_of_memory:
            what = f"{described(job, config)} does not fit into memory on {slot.name}"
            notes.setdefault(what, f"{what}, but a smaller one may: {_first_line(found)}")
        else:
            unknown = f"the memory of {described(job, config)} cannot be measured: {found.summary}"
            notes.setdefault(found.summary, unknown)
    if not needs and len(notes) == 1:
        notify(f"{next(iter(notes.values()))}; one trial trains at a time on each device")
        return 1
    for note in notes.values():
        notify(note)
    if not needs:
        notify("no trial could be measured, so one trains at a time on each device")
        return 1
    n_processes = len(slots) * devices_per_trial  # of one trial at a time on each device
    limits = slot_limits([need for _, need in needs], available, n_cores(), n_processes)
    n_slots = max(1, min(limits.values()))
    notify(_found_line(job, needs, slot, limits, n_slots))
    return n_slots


def slot_limits(needs: list[Need], available_host: float | None, cores: int, n_processes: int) -> dict[str, int]:
    """Return how many trials at once each limit allows on one device, by the name of the limit.

    `needs` are those of the measured configurations, and `available_host` is the main memory that is free, in GiB. If
    each device trains one trial, `n_processes` train in all: the machine's memory and cores are divided among them. A
    limit of 0 says that not even one trial fits.
    """
    limits = {"cores": max(1, cores // n_processes)}
    host = max((need.host for need in needs if need.host is not None), default=None)
    if host and available_host is not None:
        limits["main memory"] = math.floor(USED_SHARE * available_host / host / n_processes)
    gpu = max((need.gpu for need in needs if need.gpu is not None), default=None)
    free = min((need.free_gpu for need in needs if need.free_gpu is not None), default=None)
    if gpu and free is not None:
        limits["GPU memory"] = math.floor(USED_SHARE * free / gpu)
    return limits


def described(job: Job, config: Config) -> str:
    """A measured configuration in words: those of its values that decide how much memory it takes."""
    settings = {"regime": job.space.task.regime, "model": job.space.task.model, **job.space.fixed, **config}
    words = [f"{name}={settings[name]}" for name in NAMED if settings.get(name) is not None]
    return f"a trial with {', '.join(words)}" if words else "a trial"


def _found_line(job: Job, needs: list[tuple[Config, Need]], slot: Slot, limits: dict[str, int], n_slots: int) -> str:
    config, need = max(needs, key=lambda each: (each[1].gpu or 0.0, each[1].host or 0.0))
    parts = [(need.gpu, f"of {slot.name}"), (max(each.host or 0.0 for _, each in needs), "of main memory")]
    sizes = " and ".join(f"{size:.2f} GiB {where}" for size, where in parts if size)
    tightest = min(limits, key=lambda name: limits[name])
    where = "at once" if slot.device == "cpu" else f"on {slot.name}"
    if limits[tightest] < 1:
        return f"{described(job, config)} needs {sizes}, more than is free of {tightest}; a smaller one may fit"
    return f"{described(job, config)} needs {sizes}; {n_slots} fit {where}, limited by {tightest}"


def _first_line(found: Crash) -> str:
    return found.error.strip().partition("\n")[0]


def _measure(job: Job, slot: Slot, config: Config, report_timeout: float | None) -> Need | Crash:
    """Measure a configuration in a new process. Raises its MachineError or TaskError."""
    process, since = Process(serve, (job, config), slot), time.monotonic()
    try:
        while not ready([process], [process]):
            if is_preparing(report_timeout):
                since = time.monotonic()
            if report_timeout is not None and has_hung(since, report_timeout):
                return Crash(0, HUNG, f"it took longer than the report timeout of {report_timeout:g} seconds")
        found: Need | Crash | MachineError | TaskError = process.receive()
    except EOFError:
        death = process.end()
        found = killed(0, 0) if death.is_oom_kill else worker_died(0, 0, death.status)
    finally:
        process.end()
    if isinstance(found, MachineError | TaskError):
        raise found
    return found


def serve(pipe: connection.Connection, job: Job, config: Config, slot: Slot) -> None:
    """The main function of the process that measures a configuration."""
    answer: Need | Crash | MachineError | TaskError
    try:
        answer = measure(job, slot.device, config)
    except (MachineError, TaskError) as error:
        answer = error
    except Exception as error:
        answer = crash(0, error)
    pipe.send(answer)
    pipe.recv()  # this process ends when the other end closes the pipe
