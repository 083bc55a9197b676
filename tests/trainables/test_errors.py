import os

import pytest

from trainables.errors import ESCAPES, SetupError, encodable, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("rose", "rose"),
        ("caf\u00e9 \u65e5\u672c", "caf\u00e9 \u65e5\u672c"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("two\nlines\tand \x1b[31m", r"two\nlines\tand \x1b[31m"),
        ("", ""),
    ],
)
def test_what_cannot_be_printed_in_a_name_is_shown_with_escapes(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_an_error_that_names_a_file_can_always_be_printed() -> None:
    error = SetupError(os.fsdecode(b"/caf\xe9") + ": is missing\nand so on")
    assert str(error) == "/caf\\xe9: is missing\nand so on"


def test_a_text_is_made_encodable_with_the_same_escapes() -> None:
    assert encodable("a\ncaf\udce9 é") == "a\ncaf\\xe9 é"
    assert "caf\udce9 é".encode("ascii", ESCAPES) == rb"caf\xe9 \xe9"
    with pytest.raises(UnicodeDecodeError):
        b"caf\xe9".decode("utf-8", ESCAPES)
