"""The builder: the names of a study's task and the numbers of a trial become a trainable with its data.

`trainables.assembly` does the work. Here plug-ins are loaded by name, and what a user can mend becomes a TaskError.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import plugins
from hpo.errors import Mistake, TaskError
from hpo.space import SearchSpace
from hpo.training import forms
from hpo.training.forms import Build
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.assembly import Assembly
    from trainables.data.dataset import DataSet, Part, SearchData, Source
    from trainables.trainable import Trainable


@dataclass(frozen=True)
class Job:
    """What all trials of a study share."""

    space: SearchSpace
    seed: int
    data: Path
    """The folder of the data sets."""
    trainable: Build | None = None
    """Own training code, in place of the space's regime."""

    def __getstate__(self) -> dict[str, Any]:
        """Own code travels to a worker process by value where no module can be imported for it: from a script, a
        notebook, a lambda.
        """
        import cloudpickle

        return {**vars(self), "trainable": cloudpickle.dumps(self.trainable)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        import cloudpickle

        for name, value in (state | {"trainable": cloudpickle.loads(state["trainable"])}).items():
            object.__setattr__(self, name, value)

    def check_can_be_sent(self) -> None:
        """A Mistake where the trainable cannot be sent to a worker process."""
        import cloudpickle

        try:
            cloudpickle.dumps(self.trainable)
        except Exception as error:  # whatever the objects that it holds raise
            reason = str(error).partition("\n")[0]
            raise Mistake(
                f"the trainable {forms.name_of(self.trainable or Job)} cannot be sent to worker processes: {reason}; "
                "make what it needs inside it, or search with runner='inline'"
            ) from None


class Builder:
    """Builds the trainables of one slot. It lives as long as its slot, and keeps the data set in memory."""

    def __init__(self, job: Job, device: str) -> None:
        # Read when torch is imported. Threads that spin while they wait for each other make an epoch several
        # times as long wherever other work shares the cores.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._job = job
        self._device = device

    def build(self, settings: Config, seed: int) -> Trainable:
        """A fresh trainable; all that is random in it follows from `seed`.

        A TaskError where what the task names is not there or does not fit. Where that hangs on a hyperparameter that
        is searched, it is a SetupError: other values may do.
        """
        with self._task_errors():
            return self._assembly.build(settings, seed)

    def search_data(self, settings: Config) -> Sequence[SearchData | None]:
        """What the regime receives, once a fold; None where the task names no data set."""
        return self._assembly.search_data(settings)

    def held_out(self, ask: Callable[[DataSet], Source], settings: Config) -> Part:
        """The part of the data set that `ask` gets, as the model of `settings` expects it."""
        with self._task_errors():
            return self._assembly.held_out(ask, settings)

    @functools.cached_property
    def _assembly(self) -> Assembly:
        from trainables.assembly import Assembly

        own = self._job.trainable
        code = None if own is None else functools.partial(forms.build, own)
        return Assembly(self._job.space.task, functools.cache(plugins.load), self._job.data, self._device, code=code)

    @contextlib.contextmanager
    def _task_errors(self) -> Iterator[None]:
        from trainables import errors

        try:
            yield
        except errors.SetupError as error:
            if any(key in self._job.space.domains for key in error.keys):
                raise
            raise TaskError(str(error)) from error
        except TaskError:
            raise
        except Mistake as error:
            raise TaskError(str(error)) from error


def trial_seed(seed: int, trial: int) -> int:
    """The seed of one trial: 32 bits that depend on the study's seed and the trial's number alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{trial}".encode()).digest()[:4], "big")
