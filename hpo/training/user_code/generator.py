"""A generator function as a trainable: each value that it yields is an epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hpo.errors import HpoError, TaskError
from hpo.training import metrics

if TYPE_CHECKING:
    from trainables.seeding import RandomStates
    from trainables.trainable import Trainable

REL_TOL, ABS_TOL = 1e-3, 1e-6
"""The tolerance when an epoch runs again, because another number of threads or a GPU may round differently."""


class GeneratorTrainable:
    """The trainable of a run of a generator function.

    The state of a run cannot be saved. So a trial that continues after a pause runs from its beginning to where it was,
    and each of its epochs must give the same metrics again. The run has its own random states of Python, NumPy and
    torch: each epoch begins with the states that the epoch before ended with.

    If the run returns, the next epoch repeats the metrics of the last one, and the trial ends there.
    """

    def __init__(self, epochs: Iterator[Mapping[str, float]]) -> None:
        """`epochs` is a run that has not begun. The current random states are those that it begins with."""
        self._epochs = epochs
        self._random_states = self._current_random_states()
        self._metrics: list[dict[str, float]] = []
        """The metrics of all epochs of the trial."""
        self._n_run = 0
        """The number of epochs of this run so far."""
        self.has_returned = False
        """Whether the run has returned. Each further epoch then repeats the last metrics."""

    def step(self) -> Mapping[str, float]:
        while self._n_run < len(self._metrics):
            self._repeat(self._metrics[self._n_run])
        self._metrics.append(self._next())
        return dict(self._metrics[-1])

    def state_dict(self) -> dict[str, Any]:
        return {"metrics": self._metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state at the next `step`. Raises an HpoError if the run has begun.

        A run cannot begin again, because it may have changed the model that it was given.
        """
        if self._n_run:
            raise HpoError("the run of a generator function cannot go back: build a new one")
        self._metrics = [dict(each) for each in state["metrics"]]

    def _repeat(self, before: Mapping[str, float]) -> None:
        """Run an epoch again. Raises an HpoError if it gives other metrics than before."""
        again = self._next()
        for key in {**before, **again}:
            if not _equal(before.get(key), again.get(key)):
                values = f"{key} = {before.get(key)} at first, and {again.get(key)} when it ran again"
                remedy = "a generator must give the same metrics in each run; the class form saves its state instead"
                raise HpoError(f"epoch {self._n_run} gave {values}: {remedy}")

    def _next(self) -> dict[str, float]:
        """The metrics of the next epoch. Raises a TaskError if they are no numbers, or if there was no epoch at all."""
        self._random_states.restore()
        try:
            yielded = next(self._epochs)
        except StopIteration:
            return self._last_again()
        self._random_states = self._current_random_states()
        self._n_run += 1
        return metrics.checked(yielded, "the generator function yielded {}; it must yield metrics")

    def _current_random_states(self) -> RandomStates:
        from trainables.seeding import RandomStates

        return RandomStates()

    def _last_again(self) -> dict[str, float]:
        if self._n_run == 0:
            raise TaskError(
                f"the generator function returned without an epoch; it must yield its metrics once an epoch, "
                f"{metrics.EXAMPLE}"
            )
        self.has_returned = True
        self._n_run += 1
        return dict(self._metrics[self._n_run - 2])


def has_returned(trainable: Trainable) -> bool:
    """Whether `trainable` is a generator function that has returned. With cross-validation: in each of the folds."""
    from trainables.training.cross_validation import CrossValidation

    trainings = trainable.trainings if isinstance(trainable, CrossValidation) else (trainable,)
    return all(isinstance(each, GeneratorTrainable) and each.has_returned for each in trainings)


def _equal(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=REL_TOL, abs_tol=ABS_TOL) or (math.isnan(one) and math.isnan(other))
