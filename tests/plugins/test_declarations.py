from importlib.util import find_spec, spec_from_file_location
from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.plugins import declarations
from hpo.plugins.declarations import Declared


def declared(folder: Path, sources: dict[str, str]) -> Declared | None:
    """What the first of some modules declares, in a world of no others."""
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    found = {name: spec_from_file_location(name, folder / f"{name}.py") for name in sources}
    return declarations.read(next(iter(sources)), found.get)


def test_what_a_module_hands_on_is_read_from_there_round_circles_too(tmp_path: Path) -> None:
    sources = {
        "a": "HYPERPARAMETERS: dict = {'x': 'a number'}\nREADS_ALSO = ('b',)\nraise AssertionError\n",
        "b": "READS_ALSO = ('a', 'c')\n",
        "c": "HYPERPARAMETERS = {'y': ['p', 2, True, None]}\n",
    }
    assert declared(tmp_path, sources) == {"x": "a number", "y": ["p", 2, True, None]}


def test_a_module_that_declares_nothing_or_hands_on_to_one_may_read_anything(tmp_path: Path) -> None:
    silent = "HYPERPARAMETERS_OF_OLD = {}\n"
    assert declared(tmp_path, {"silent": silent}) is None
    assert declared(tmp_path, {"a": "HYPERPARAMETERS = {}\nREADS_ALSO = ['silent']\n", "silent": silent}) is None


def test_values_that_two_modules_allow_are_joined_and_what_one_leaves_open_is_open(tmp_path: Path) -> None:
    sources = {
        "a": "HYPERPARAMETERS = {'x': [1, 2], 'y': [1]}\nREADS_ALSO = ('b',)\n",
        "b": "HYPERPARAMETERS = {'x': [2.0, True], 'y': 'any number'}\n",
    }
    assert declared(tmp_path, sources) == {"x": [1, 2, True], "y": "any number"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1\nHYPERPARAMETERS = {'x': max(1, 2)}\n", r"a\.py:2: HYPERPARAMETERS must be a literal"),
        ("HYPERPARAMETERS = ['x']\n", r"a\.py: HYPERPARAMETERS must map names to a line of text or a list of values"),
        ("HYPERPARAMETERS = {'x': 3}\n", r"a\.py: HYPERPARAMETERS must map names"),
        ("HYPERPARAMETERS = {}\nREADS_ALSO = 'b'\n", r"a\.py: READS_ALSO must be a tuple of module names"),
        ("HYPERPARAMETERS = {}\nREADS_ALSO = ('b',)\n", r"READS_ALSO names b, but there is no such module"),
        ("\n\ndef build(:\n", r"a\.py:3: is broken Python: "),
    ],
)
def test_a_broken_declaration_is_a_mistake_that_names_the_file(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        declared(tmp_path, {"a": source})


def options(folder: Path, source: str) -> Declared | None:
    """What a data set with this source declares."""
    (folder / "data.py").write_text(source)
    return declarations.options("data", lambda name: spec_from_file_location(name, folder / f"{name}.py"))


def test_the_options_of_a_data_set_are_read_without_running_its_file(tmp_path: Path) -> None:
    assert options(tmp_path, "OPTIONS = {'folder': 'a path', 'size': [8, 16]}\nraise AssertionError\n") == {
        "folder": "a path",
        "size": [8, 16],
    }


def test_a_data_set_that_declares_no_options_has_none(tmp_path: Path) -> None:
    assert options(tmp_path, "HYPERPARAMETERS = {'lr': 'a number'}\n") is None
    assert declarations.options("math", find_spec) is None
    assert declarations.options("nowhere", lambda name: None) is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("OPTIONS = ['folder']\n", r"data\.py: OPTIONS must map names to a line of text or a list of values"),
        ("OPTIONS = {'size': 8}\n", r"data\.py: OPTIONS must map names"),
        ("OPTIONS = {'size': range(8)}\n", r"data\.py:1: OPTIONS must be a literal"),
        ("OPTIONS = {\n", r"data\.py:1: is broken Python"),
    ],
)
def test_broken_options_are_a_mistake_that_names_the_file(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        options(tmp_path, source)


def test_a_module_without_source_may_read_anything() -> None:
    assert declarations.read("math", find_spec) is None
