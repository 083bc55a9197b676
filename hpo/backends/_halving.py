"""A bracket of HpBandSter, adapted for the BOHB backend.

The order of equal losses must not depend on the machine, as it does in HpBandSter. Here the earlier trial is promoted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hpbandster.core.dispatcher import Job
from hpbandster.optimizers.iterations import SuccessiveHalving
from numpy.typing import NDArray

Key = tuple[int, int, int]
"""The identifier of a trial in HpBandSter: its bracket, the rung at which it began, and its position there."""


class Halving(SuccessiveHalving):  # type: ignore[misc]
    """One bracket of Hyperband. Its properties can be read without changing it, unlike HpBandSter's `get_next_run`."""

    @property
    def queued(self) -> list[Key]:
        """The trials that are promoted but not yet running again."""
        return [key for key, datum in self.data.items() if datum.status == "QUEUED"]

    @property
    def has_vacancy(self) -> bool:
        """Whether the current rung needs new configurations. The first rung does, and after crashes a later one may."""
        return bool(not self.is_finished and self.actual_num_configs[self.stage] < self.num_configs[self.stage])

    @property
    def rung_is_complete(self) -> bool:
        """Whether all results of the current rung are there."""
        return not (self.is_finished or self.num_running or self.queued or self.has_vacancy)

    def may_promote(self, *, is_closed: bool) -> bool:
        """Whether the results of the running trials can lead to a promotion without any new trial.

        `is_closed` says that vacancies will not be filled.
        """
        is_full = is_closed or not self.has_vacancy
        return bool(self.num_running and is_full and self.stage + 1 < len(self.num_configs))

    def close(self) -> None:
        """Leave the vacancies of the current rung empty, because no configuration is left for them."""
        if self.has_vacancy:
            self.num_configs[self.stage] = self.actual_num_configs[self.stage]

    def is_eliminated(self, key: Key) -> bool:
        """Whether a trial will never run again."""
        return self.data[key].status not in ("QUEUED", "RUNNING", "REVIEW")

    def mark_running(self, key: Key) -> None:
        """Mark a queued trial as running."""
        self.data[key].status = "RUNNING"
        self.num_running += 1

    def record_loss(self, key: Key, loss: float) -> Job:
        """Record the loss of a running trial at its rung. Returns the job from which the model learns."""
        datum = self.data[key]
        job = Job(key, config=datum.config, budget=datum.budget)
        job.result = {"loss": loss}
        self.register_result(job)
        return job

    def _advance_to_next_stage(self, config_ids: Sequence[Key], losses: NDArray[np.float64]) -> NDArray[np.bool_]:
        ranks = np.argsort(np.argsort(losses, kind="stable"), kind="stable")
        return np.asarray(ranks < self.num_configs[self.stage])
