"""A connection to PostgreSQL that notices a server which keeps the connection and never answers.

The keepalive of TCP notices a machine that is gone. It does not notice a server, or a proxy before it, that is stopped
or stuck: its kernel still confirms every packet. So the connection here is closed if nothing comes from the server for
too long while an answer is awaited. The error is that of a lost connection, for which a search waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL

T = TypeVar("T")
Answer = Generator[Any, Any, T]
"""The steps of psycopg towards an answer. It yields what it waits for, and is sent what is ready: 0 if nothing is."""


def connecting(url: URL, defaults: dict[str, Any]) -> Callable[[], psycopg.Connection[Any]]:
    """A function that opens a connection, for SQLAlchemy.

    `defaults` are parameters of the connection that the URL may replace. The longest time without an answer is the
    parameter `tcp_user_timeout` in milliseconds, where 0 is no limit.
    """
    arguments, given = url.get_dialect()().create_connect_args(url)
    parameters = {**defaults, **given}

    def connect() -> psycopg.Connection[Any]:
        connection = ImpatientConnection.connect(*arguments, **parameters)
        connection.longest_silence = int(parameters["tcp_user_timeout"]) / 1000
        return connection

    return connect


class ImpatientConnection(psycopg.Connection[Any]):
    """A connection that is closed if the server is silent for too long."""

    longest_silence = 0.0
    """The longest time for which nothing may come from the server while an answer is awaited, in seconds. 0: any."""

    def wait(self, gen: Answer[T], *arguments: Any, **options: Any) -> T:
        """Wait for an answer. Raises an OperationalError, and closes the connection, if the server is silent."""
        return super().wait(self._observed(gen) if self.longest_silence else gen, *arguments, **options)

    def _observed(self, answer: Answer[T]) -> Answer[T]:
        """The same steps, until the server has been silent for too long."""
        heard = time.monotonic()
        try:
            awaited = next(answer)
            while True:
                ready = yield awaited
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self.longest_silence:
                    self.close()
                    raise psycopg.OperationalError(f"the server sent nothing for {self.longest_silence:g} s")
                awaited = answer.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
