"""A proxy in front of a PostgreSQL server. It counts round trips, adds latency, and cuts connections for tests.

The server ends its answer to each request with a message ReadyForQuery, so these messages are the round trips.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

HOST = "127.0.0.1"
READY_FOR_QUERY = b"Z"
QUERY = "?sslmode=disable"
"""The end of a URL of the proxy: it reads the messages, so they must not be encrypted."""


class Proxy:
    """Hands connections on to a server, as `port` of 127.0.0.1."""

    def __init__(self, server_port: int, latency: float = 0.0) -> None:
        """Each answer is delayed by `latency`, in seconds."""
        self.n_round_trips = 0
        """The answers so far, over all connections. Opening a connection is one."""
        self.cut_at: int | None = None
        """When the server ends this answer, counted like `n_round_trips`, it is dropped and its connection is cut."""
        self.hangs = threading.Event()
        """While it is set, nothing is handed on, and the connections stay open."""
        self._server_port = server_port
        self._latency = latency
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: set[socket.socket] = set()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Close all connections."""
        # The thread must have left `accept` before the number of its socket can belong to another socket.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for each in list(self._sockets):
            _shut(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection((HOST, self._server_port))
                except OSError:  # the server is stopped
                    client.close()
                    continue
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._sockets.add(each)
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answers, args=(server, client), daemon=True).start()

    def _wait_while_it_hangs(self) -> None:
        while self.hangs.is_set():
            time.sleep(0.01)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self._wait_while_it_hangs()
                server.sendall(data)
        _shut(server)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        buffer = b""
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                buffer += data
                complete = _complete(buffer)
                for kind in _kinds(buffer[:complete]):
                    if kind == READY_FOR_QUERY:
                        self.n_round_trips += 1
                        if self.n_round_trips == self.cut_at:
                            raise OSError("cut")
                if self._latency:
                    time.sleep(self._latency)
                self._wait_while_it_hangs()
                client.sendall(buffer[:complete])
                buffer = buffer[complete:]
        _shut(client)
        _shut(server)


@contextlib.contextmanager
def proxy(server_port: int, latency: float = 0.0) -> Iterator[Proxy]:
    """A proxy that is closed at the end."""
    opened = Proxy(server_port, latency)
    try:
        yield opened
    finally:
        opened.close()


def _kinds(messages: bytes) -> Iterator[bytes]:
    """The types of messages. Each begins with a byte for its type and four bytes for the length of the rest."""
    position = 0
    while position < len(messages):
        yield messages[position : position + 1]
        position += 1 + int.from_bytes(messages[position + 1 : position + 5], "big")


def _complete(buffer: bytes) -> int:
    """The length of the complete messages at the beginning of a buffer."""
    position = 0
    while position + 5 <= len(buffer):
        end = position + 1 + int.from_bytes(buffer[position + 1 : position + 5], "big")
        if end > len(buffer):
            break
        position = end
    return position


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
