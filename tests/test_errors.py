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


def test_a_list_of_names_that_is_cut_says_how_many_more_there_are_and_what_lists_all() -> None:
    many = [f"{letter}_hyperparameter" for letter in "abcdefghijklmn"]
    found = nearest("zzz", many, listed_by=["hpo spaces"])
    listed = found.removeprefix(" (allowed: ").partition(", and ")
    assert listed[2] == f"{len(many) - len(listed[0].split(', '))} others; `hpo spaces` lists all)"
    assert nearest("b_hyperparametr", many, listed_by=["hpo a", "hpo b"]) == (
        "; did you mean 'b_hyperparameter'? (`hpo a` and `hpo b` list all)"
    )
    assert nearest("zzz", ["adam", "sgd"], listed_by=["hpo spaces"]) == " (allowed: adam, sgd)"


def test_a_long_name_that_shares_some_letters_by_chance_is_not_suggested() -> None:
    assert "did you mean" not in nearest("drop_path", ["crop_ratio"])
    assert "did you mean 'nag'" in nearest("ag", ["nag"])


def test_all_else_of_a_message_stays_as_it_is() -> None:
    text = "one: é 猫\n\tFile 'C:\\udder'\u00a0\u200d"
    assert str(HpoError(text)) == text
