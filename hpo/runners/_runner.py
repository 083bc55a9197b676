"""What a runner is (floor 3). A runner executes; it decides nothing, records nothing, and knows no backend.

A file of this folder (or a module named by an entry point of the group `hpo.runners`) offers

    build(job: Job, checkpoints: Path, *, devices: Sequence[str], slots: int | None) -> Runner
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from hpo.trial import Crash, Decision, Report, Suggestion


class Runner(Protocol):
    """Trains suggestions on its slots and hands back what happens, one event an epoch."""

    def free(self) -> int:
        """The number of slots that could start a suggestion now."""
        ...

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        """Train a trial up to `suggestion.until` on a free slot.

        `after` is the last epoch of the trial that is on record: its first report is `after + 1`,
        from the checkpoint where there is one. An epoch that the checkpoint holds and the record
        does not is reported without being trained again.
        """
        ...

    def events(self) -> Iterable[Report | Crash]:
        """What happened since the last call; blocks for at least one event.

        A trial that has reported waits for `settle` before it goes on.
        """
        ...

    def settle(self, trial: int, decision: Decision) -> None:
        """Tell a trial its fate.

        CONTINUE to a trial that has reached its `until`, has said `last` or has crashed frees its
        slot. PAUSE frees the slot and keeps the checkpoint. STOP frees it and deletes the
        checkpoint, also that of a trial that was paused before.
        """
        ...

    def close(self) -> None:
        """End every worker. Whatever runs is left where its last checkpoint is."""
        ...
