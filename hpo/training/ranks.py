"""The ranks of a worker that trains each trial on several devices, one process for each device.

The worker is rank 0: it builds a trial, takes the commands of the runner, and writes the checkpoints. It starts the
other ranks as its children, in its process group, so they end with it. They build the same trial from the same seed.
Then all train each epoch together (`trainables/training/data_parallel.py`).

If a rank dies or fails alone, the worker ends, because the other ranks would wait for it for ever. The runner replaces
the worker, and the trial continues from its checkpoint. If that rank ran out of memory, the exit status of the worker
says so. If all ranks fail in the same way, that is an error of the trial.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.training.builder import Builder, Job
from hpo.training.checkpoints import Checkpoints
from hpo.training.out_of_memory import EXIT_STATUSES, is_oom_kill, kind_of, n_oom_kills
from hpo.trial import Config

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from trainables.data.dataset import Part
    from trainables.trainable import Trainable

DEATH_SECONDS = 1.0
"""How long rank 0 waits after an error of its own for the news that another rank has died, and the other way round."""
FAILURE_SECONDS = 5.0
"""How long rank 0 may take to fail too, after another rank has failed."""


class Ranks:
    """Rank 0's side: it starts the other ranks, sends them commands, and ends the worker if one of them fails alone."""

    def __init__(
        self,
        job: Job,
        checkpoints: Path,
        device: str,
        n_ranks: int,
        count_oom_kills: Callable[[], int | None] = n_oom_kills,
    ) -> None:
        """Start the other ranks, and wait until all are there. `device` is that of rank 0: cpu or cuda.

        `count_oom_kills` says how many processes the kernel has killed because memory ran out.

        Raises the error of rank 0 if it cannot join. No other rank is left then.
        """
        from trainables.training import data_parallel

        self.is_closed = False
        self._failed = threading.Event()
        self._failed_kind = ""
        """The kind of the Crash of another rank that has failed."""
        self._count_oom_kills = count_oom_kills
        self._oom_kills = count_oom_kills()
        """The kernel's kills when the last command was sent."""
        self._store = data_parallel.open_store(n_ranks)
        context = multiprocessing.get_context("spawn")
        self._pipes: list[connection.Connection] = []
        self._processes: list[SpawnProcess] = []
        try:
            for rank in range(1, n_ranks):
                pipe, child_pipe = context.Pipe()
                place = _Place(rank, n_ranks, _device_of(rank, device), self._store.port)
                process = context.Process(target=_serve, args=(child_pipe, job, checkpoints, place), daemon=True)
                process.start()
                child_pipe.close()
                self._pipes.append(pipe)
                self._processes.append(process)
            threading.Thread(target=self._watch, daemon=True).start()
            data_parallel.join(0, n_ranks, device, self._store)
        except Exception:
            self._end_ranks()
            raise

    def send(self, *command: Any) -> None:
        """Send a command to the other ranks. They work on it one after another."""
        oom_kills = self._count_oom_kills()
        if not connection.wait([process.sentinel for process in self._processes], 0):
            self._oom_kills = oom_kills  # a later kill of a rank is due to this command
        for pipe in self._pipes:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `_watch` notices a rank that died
                pipe.send(command)

    def reset_host_peaks(self) -> None:
        """Start to measure `host_peaks` anew."""
        from trainables import memory

        for process in self._processes:
            memory.reset_host_peak(process.pid)

    def host_peaks(self) -> list[float | None]:
        """The most main memory that each of the other ranks had since `reset_host_peaks`, in GiB. None: not known."""
        from trainables import memory

        return [memory.host_peak_of(process.pid) for process in self._processes]

    def close(self) -> None:
        """End the other ranks after an error of rank 0. If one of them has died, which caused it, end the worker."""
        dead = connection.wait([process.sentinel for process in self._processes], DEATH_SECONDS)
        if dead:
            self._end_worker()
        self._end_ranks()

    def _end_ranks(self) -> None:
        """Kill the other ranks, and make this process an ordinary one again."""
        from trainables.training import data_parallel

        self.is_closed = True
        self._failed.set()
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        data_parallel.leave()

    def _watch(self) -> None:
        """Wait until a rank fails. It has died, or sends the text and the kind of its error."""
        sentinels = [process.sentinel for process in self._processes]
        ready = connection.wait([*self._pipes, *sentinels])
        for pipe in self._pipes:
            with contextlib.suppress(EOFError, OSError):
                if pipe in ready and pipe.poll():
                    text, self._failed_kind = pipe.recv()
                    if not self._failed.wait(FAILURE_SECONDS):
                        print(text, file=sys.stderr)
        if not self._failed.wait(DEATH_SECONDS):  # rank 0 may have an error of its own, which says more
            self._end_worker()

    def _end_worker(self) -> None:
        """End this process. What is left of its group is ended by the runner."""
        statuses = {rank: process.exitcode for rank, process in enumerate(self._processes, start=1)}
        died = [f"rank {rank} with exit status {status}" for rank, status in statuses.items() if status is not None]
        if died:
            print(f"hpo: a process of a trial on several devices died: {', '.join(died)}", file=sys.stderr)
            if any(is_oom_kill(status, self._oom_kills, self._count_oom_kills()) for status in statuses.values()):
                self._failed_kind = "HostOutOfMemory"
        sys.stderr.flush()
        os._exit(EXIT_STATUSES.get(self._failed_kind, 1))


class TrainableOnRanks:
    """The trainable of a trial on all ranks, as rank 0 uses it."""

    def __init__(self, trainable: Trainable, ranks: Ranks, settings: Config, seed: int, trial: int) -> None:
        """`trainable` is that of rank 0. The other ranks build theirs from `settings` and `seed`."""
        self._trainable = trainable
        self._ranks = ranks
        self._trial = trial
        ranks.send("build", dict(settings), seed)

    def step(self) -> Mapping[str, float]:
        with self._together("step"):
            return self._trainable.step()

    def state_dict(self) -> dict[str, Any]:
        return self._trainable.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of the trial's checkpoint. The other ranks read it from the file."""
        with self._together("load", self._trial):
            self._trainable.load_state_dict(state)

    def evaluate(self, part: Part) -> Mapping[str, float]:
        return self._trainable.evaluate(part)

    @property
    def validation_logits(self) -> object:
        """The logits of the last validation, which rank 0 has of all images; see `Trainable`. None without any."""
        return getattr(self._trainable, "validation_logits", None)

    @property
    def validation_results(self) -> object:
        """The loss and the predicted class of each image, which rank 0 has of all images. None without any."""
        return getattr(self._trainable, "validation_results", None)

    def release_logits(self) -> None:
        """Free the memory of `validation_logits` and `validation_results`, if the trainable can."""
        if (release := getattr(self._trainable, "release_logits", None)) is not None:
            release()

    @contextlib.contextmanager
    def _together(self, *command: Any) -> Iterator[None]:
        """The other ranks get the command, while this one does the same. After an error they are ended."""
        self._ranks.send(*command)
        try:
            yield
        except Exception:
            self._ranks.close()  # they may be anywhere in the epoch
            raise


def _device_of(rank: int, device: str) -> str:
    """The device of a rank in torch, for that of rank 0: cpu or cuda."""
    return f"cuda:{rank}" if device == "cuda" else device


@dataclass(frozen=True)
class _Place:
    """The place of a process among the ranks."""

    rank: int
    n_ranks: int
    device: str
    """Its device in torch."""
    port: int
    """The port of the store of rank 0, where the ranks find each other."""


def _serve(pipe: connection.Connection, job: Job, checkpoints: Path, place: _Place) -> None:
    """The main loop of a rank other than 0. It ends when rank 0 ends."""
    from trainables.training import data_parallel

    logging.disable(logging.WARNING)  # rank 0 records the same notices
    store = data_parallel.connect_store(place.n_ranks, place.port)
    data_parallel.join(place.rank, place.n_ranks, place.device, store)
    builder, trainable = Builder(job, place.device), None
    while True:
        try:
            name, *arguments = pipe.recv()
        except (EOFError, ConnectionResetError):
            os._exit(0)
        try:
            if name == "build":
                trainable = builder.build(*arguments)
            elif name == "load":
                saved = Checkpoints(checkpoints).read(*arguments)
                assert saved is not None, "rank 0 has just read it"
                trainable.load_state_dict(saved["state"])  # type: ignore[union-attr]
            else:
                trainable.step()  # type: ignore[union-attr]
        except Exception as error:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                pipe.send((f"rank {place.rank}: {traceback.format_exc()}", kind_of(error)))
