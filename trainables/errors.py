"""Errors in what a user gave: data or weights that do not fit, and wrong values of hyperparameters.

Messages and names are shown with escapes for what is not UTF-8.
"""

from __future__ import annotations

import codecs
import re
import traceback
from collections.abc import Iterable


class WrongValue(ValueError):
    """A hyperparameter has a value that is not allowed. The message gives its key and the allowed values.

    Only the trials with this value fail.
    """


class SetupError(ValueError):
    """Something that the task names is missing, is unreadable or does not fit. Every trial would fail in the same way.

    The message gives the file or the key, what is wrong with it, and what to do.
    """

    def __init__(self, message: str, *, keys: Iterable[str] = ()) -> None:
        """`keys` are the hyperparameters that the error depends on. Trials with other values of them may succeed.

        Names of files in `message` are made printable.
        """
        super().__init__("\n".join(map(printable, message.split("\n"))))
        self.keys = tuple(keys)


class DownloadError(SetupError):
    """A download failed. The message says what, why, and how to get it by hand."""


def reason(error: BaseException) -> str:
    """Return the first line of an error's text that is not blank, or the name of its type if there is none."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


def line_in(file: str, error: BaseException) -> int:
    """Return the last line of a Python file that an error passed through, or 1 if there is none.

    For a SyntaxError in the file, it is the line of the mistake.
    """
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return next((line for line in reversed(lines) if line), 1)


def printable(name: str) -> str:
    r"""Return a name with unprintable characters escaped: "caf\xe9" for a name that is not UTF-8.

    Python reads each byte of a file name that is not UTF-8 as a surrogate. Such text can be neither printed nor stored.
    """
    return "".join(each if each.isprintable() else _escaped(each) for each in name)


ESCAPES = "trainables.escapes"
"""The name of the error handler for encodings that writes what cannot be encoded with the escapes of `printable`."""


def encodable(text: str) -> str:
    r"""Return a text that can be encoded as UTF-8: a byte of a name that is not UTF-8 becomes an escape, as "caf\xe9".

    All else stays as it is, such as line breaks. `repr` writes such a byte as \udce9, which becomes \xe9 too.
    """
    return re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", text).encode("utf-8", ESCAPES).decode("utf-8")


def _encoding_error(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_escaped, error.object[error.start : error.end])), error.end


codecs.register_error(ESCAPES, _encoding_error)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(character)[1:-1]
