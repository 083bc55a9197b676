"""The errors of hpo."""

import pytest

from hpo.errors import HpoError, SpaceFileError, StudyError, UnknownName, nearest

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


def test_after_a_good_suggestion_no_part_of_a_long_list_of_names_follows() -> None:
    many = [f"{letter}_hyperparameter" for letter in "abcdefghijklmn"] + ["momentum"]
    assert nearest("momentun", many) == "; did you mean 'momentum'?"
    assert "others)" in nearest("zzz", many)
    assert nearest("adamv", ["adam", "sgd"]) == "; did you mean 'adam'? (allowed: adam, sgd)"


def test_all_else_of_a_message_stays_as_it_is() -> None:
    text = "one: é 猫\n\tFile 'C:\\udder'\u00a0\u200d"
    assert str(HpoError(text)) == text
