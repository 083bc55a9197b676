"""Standard output and standard error that may be closed while a search runs, as by `hpo search ... 2>&1 | head -1`."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

CLOSED = (errno.EPIPE, errno.EIO, errno.EBADF)
"""The errors of a pipe without a reader, and of a terminal that was closed."""


def ignore_closed_output() -> None:
    """Let this process write to its standard output and error although nobody reads them any more.

    What is written then is lost, without an error. Streams that are closed already are opened on the null device, so
    that no other file gets their numbers. A stream that was replaced, as in a notebook, is left as it is.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, which is this one
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):
            if stream is not None:
                stream.flush()
            output = io.TextIOWrapper(
                io.BufferedWriter(_Output(number, "wb", closefd=False)),
                encoding=getattr(stream, "encoding", "utf-8"),
                errors=getattr(stream, "errors", "backslashreplace"),
                line_buffering=name == "stderr" or os.isatty(number),
            )
            setattr(sys, name, output)


class _Output(io.FileIO):
    """A standard stream. When it turns out to be closed, the null device takes its place."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in CLOSED:
                raise
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes
