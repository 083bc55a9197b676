from __future__ import annotations

import pytest

from hpo.trackers._sending import LONGEST, one_line


def caused(text: str, cause: str) -> Exception:
    try:
        try:
            raise OSError(cause)
        except OSError as error:
            raise RuntimeError(text) from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("short\nmore"), "short"),
        (RuntimeError(), "RuntimeError"),
        (caused("short", "refused"), "short"),
        (caused("the request failed: " + "pool " * 40, "[Errno 111] refused"), "[Errno 111] refused"),
        (RuntimeError("it failed with code 501. Response body: " + "x" * 200), "it failed with code 501"),
        (RuntimeError("y" * 200), "y" * (LONGEST - 3) + "..."),
    ],
)
def test_an_error_is_one_line_that_is_not_longer_than_a_limit(error: Exception, expected: str) -> None:
    assert one_line(error) == expected
