import os
from typing import Any

import pytest

from hpo.spacefile import yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("1E5", 1e5), ("5e-3", 5e-3), (".5", 0.5), ("-.5", -0.5), ("5.", 5.0), ("+3", 3), ("010", 10),
        ("1.5e+3", 1500.0), ("true", True), ("False", False), ("TRUE", True), ("null", None), ("~", None), ("", None),
        ("no", "no"), ("off", "off"), ("on", "on"), ("yes", "yes"), ("y", "y"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"), ("0x10", "0x10"), ("0b1", "0b1"), ("1e", "1e"), ("e5", "e5"), (".", "."),
        ("'1e-5'", "1e-5"), ('"true"', "true"), ("none", "none"), ("nULL", "nULL"), ("<<", "<<"), ("=", "="),
    ],
)  # fmt: skip
def test_a_scalar_is_what_yaml_1_2_says(text: str, value: Any) -> None:
    parsed = yaml_text.parse(f"{{key: {text}}}")
    read = parsed.value["key"]
    assert parsed.mistakes == []
    assert (read, type(read)) == (value, type(value))


def test_infinity_and_not_a_number_are_numbers() -> None:
    assert str(yaml_text.parse("[.inf, -.INF, .nan, 1e999]").value) == "[inf, -inf, nan, inf]"


def test_every_key_has_its_line() -> None:
    parsed = yaml_text.parse("a: 1\nb:\n  c: {d: 2,\n    e: 3}\n")
    assert parsed.value == {"a": 1, "b": {"c": {"d": 2, "e": 3}}}
    assert parsed.lines == {("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", "d"): 3, ("b", "c", "e"): 4}


def test_the_first_of_two_equal_keys_counts_and_the_second_is_a_mistake() -> None:
    parsed = yaml_text.parse("a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert parsed.value == {"a": {"b": 1, "c": 2}}
    assert parsed.mistakes == [(4, ("a", "b"), "stands in line 2 already; a key may stand only once")]


@pytest.mark.parametrize("text", ["1: a", "true: a", "~: a", "[b]: a", "? {b: c}\n: a"])
def test_a_key_that_is_no_name_is_a_mistake(text: str) -> None:
    parsed = yaml_text.parse(text)
    assert parsed.value == {}
    ((line, keys, words),) = parsed.mistakes
    assert (line, keys) == (1, ())
    assert "must be a name" in words


def test_the_keys_of_a_prior_are_choices_and_become_their_texts() -> None:
    parsed = yaml_text.parse("space:\n x:\n  prior:\n   1e-3: 3\n   true: 2\n   1: 4\n y: {when: {1: 2}}\n")
    assert parsed.value == {"space": {"x": {"prior": {"0.001": 3, "true": 2, "1": 4}}, "y": {"when": {}}}}
    assert parsed.lines["space", "x", "prior", "true"] == 5
    assert [words for _, _, words in parsed.mistakes] == ["the key 1 must be a name; in quotes it is one"]
    assert not yaml_text.parse("space:\n x:\n  piror: {32: 2}\n").mistakes  # that the key is unknown is said later


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [ls]", "!own {a: 1}", "!!set {a}", "!!binary aGk="])
def test_a_tag_builds_no_object(text: str) -> None:
    parsed = yaml_text.parse(f"a: {text}")
    assert parsed.value == {"a": None}
    assert "only plain values are allowed" in parsed.mistakes[0][2]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "is broken YAML at column 2: while parsing a flow sequence"),
        ("a: 1\n\tb: 2\n", 2, "is broken YAML at column 1: a tab stands where only spaces may"),
        ("a: 1\n---\nb: 2\n", 2, "is broken YAML at column 1: expected a single document"),
        ("a: *b\n", 1, "is broken YAML at column 4: found undefined alias 'b'"),
        ("a: 1\nb: \x07\n", 2, "holds the character U+0007, which YAML does not allow"),
        ("a: &a [*a]\n", 1, "is nested too deeply"),
        ("[" * 1000, 1, "is nested too deeply"),
    ],
)
def test_broken_yaml_says_where_and_why(text: str, line: int, words: str) -> None:
    parsed = yaml_text.parse(text)
    assert parsed.value is None
    ((at, keys, said),) = parsed.mistakes
    assert (at, keys) == (line, ())
    assert said.startswith(words)


def test_aliases_of_aliases_end_in_a_mistake_and_not_in_a_hang() -> None:
    doubled = "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9)}]\n" for n in range(1, 40))
    parsed = yaml_text.parse(f"k0: &k0 [1]\n{doubled}")
    assert parsed.mistakes == [(1, (), "holds more than 10000 values")]


def test_an_alias_stands_for_its_anchor() -> None:
    value = yaml_text.parse("a: &x {b: [1]}\nc: *x\n").value
    assert value == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert value["a"] is not value["c"]


def test_an_empty_text_holds_nothing() -> None:
    assert yaml_text.parse("") == yaml_text.parse("# a comment\n") == yaml_text.Parsed()


def test_a_path_of_the_command_line_that_is_not_utf8_is_text() -> None:
    path = os.fsdecode(b"/data/caf\xe9: 1")
    assert yaml_text.parse(path).mistakes
    assert yaml_text.parse_value(path) == yaml_text.Parsed(path)
    assert yaml_text.parse_value("[1, 2]").value == [1, 2]
