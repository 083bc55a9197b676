"""The errors of hpo."""

import pytest

from hpo.errors import HpoError, SpaceFileError, StudyError, UnknownName

NAME = "caf\udce9"
"""A name of a file that is not UTF-8, as Python reads it."""


@pytest.mark.parametrize(
    "error",
    [
        StudyError(f"study {NAME!r}: {NAME} is gone"),
        SpaceFileError([f"{NAME}:1: is broken"]),
        UnknownName("space", NAME, [NAME]),
        HpoError(str(OSError(2, "No such file", NAME))),
    ],
)
def test_a_name_that_is_not_utf8_is_escaped_in_one_way_in_every_message(error: HpoError) -> None:
    assert r"caf\xe9" in str(error)
    assert "udce9" not in repr(str(error))


def test_all_else_of_a_message_stays_as_it_is() -> None:
    text = "one: é 猫\n\tFile 'C:\\udder'\u00a0\u200d"
    assert str(HpoError(text)) == text
