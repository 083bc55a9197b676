import pytest

from hpo.plugins.number_range import NumberRange
from hpo.trial import Value

ALLOWED: dict[str, tuple[list[Value], list[Value], str]] = {
    "float > 0": ([1e-9, 3, None], [0, -1, "fast", True, (1, 2)], "a number above 0"),
    "int >= 1": ([1, 2**40], [0, 1.0, 1.5, True], "a whole number of at least 1"),
    "0 <= float < 1": ([0, 0.999], [1, -1e-9], "a number of at least 0 and below 1"),
    "0 < float <= 1": ([1, 1.0, 1e-9], [0, 1.1], "a number above 0 and at most 1"),
    "0 <= int <= 30": ([0, 30], [31, -1, 9.0], "a whole number of at least 0 and at most 30"),
    "0.02 <= float <= 1": ([0.02], [0.01], "a number of at least 0.02 and at most 1"),
    "0 < float < 1 or none": (["none", 0.5], ["no", 1], "a number above 0 and below 1, or none"),
}


@pytest.mark.parametrize("text", ALLOWED)
def test_a_range_allows_the_numbers_that_it_declares_and_null_for_the_default(text: str) -> None:
    allowed, refused, words = ALLOWED[text]
    found = NumberRange.parse(text)
    assert [value for value in allowed if not found.allows(value)] == []
    assert [value for value in refused if found.allows(value)] == []
    assert found.words == words


@pytest.mark.parametrize("text", ["above 0", "float > x", "0 < float > 1", "number > 0", "", "float>0"])
def test_a_range_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no range such as"):
        NumberRange.parse(text)
