"""Errors of the command rank in the words of its options: it searches a space that the user has not written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.errors import UserError

OPTIONS = (
    (r"`task\.validation\.folds: (\d+)`", r"`--folds \1`"),
    (r"`task\.validation\.folds`", "`--folds`"),
    (r"`task\.validation\.group`", "`--group`"),
    (r"^task\.validation\.folds\b", "--folds"),
    (r"^task\.validation\.group\b", "--group"),
    (r"^task\.model\b", "--models"),
    (r"^task\.weights\b", "--weights"),
    (r"^task\.dataset\.(\w+):", r"--dataset: option \1:"),
    (r"^task\.dataset\b", "--dataset"),
    (r"^fixed\.(\w+):", r"--fixed \1:"),
)
"""How a message names a key of the space, and the option that sets it."""


@contextmanager
def in_options() -> Iterator[None]:
    """Raise errors of the user in the words of the options. A value of `--fixed` that is wrong is one, too."""
    from trainables.errors import WrongValue

    try:
        yield
    except UserError as error:
        raise UserError(with_options(str(error))) from error
    except WrongValue as error:
        raise UserError(f"--fixed: {error}") from error


def with_options(message: str) -> str:
    """A message that names the options instead of the keys of a space."""
    for key, option in OPTIONS:
        message = re.sub(key, option, message, flags=re.MULTILINE)
    return message
