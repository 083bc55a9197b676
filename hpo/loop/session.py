"""What one run of a search gets from its caller, and no record holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpo.record import Event, Ledger
from hpo.training.user_code import Build

Watch = Callable[[Event, Ledger], None]
"""Is called after each event is recorded. An error that it raises ends the search, and so does Ctrl-C."""
Notify = Callable[[str], None]
"""Is called with each note for the user."""


@dataclass(frozen=True)
class Session:
    """The training code of a run, and how its caller follows it. Nothing of it is recorded but a digest of the code."""

    trainable: Build | None = None
    """The user's training code. None if the regime of the space trains."""
    allow_generator: bool = True
    """Whether the trainable may turn out to be a generator function. If not, that is a TaskError."""
    watch: Watch | None = None
    """Shows the progress."""
    notify: Notify | None = None
    """Shows notes."""

    def note(self, *lines: str) -> None:
        """Show notes, if the caller wants them."""
        if self.notify is not None:
            for line in lines:
                self.notify(line)


UNWATCHED = Session()
"""A regime trains, and nothing is shown."""
