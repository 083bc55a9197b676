"""Names that may stand for a Python file of the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.space.python_file import python_file, python_file_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("costs", "costs.py"),
        ("costs.py", "costs.py"),
        ("deep/costs.py", "deep/costs.py"),
        ("package.costs", None),
        ("timm:resnet18", None),
        ("", None),
    ],
)
def test_a_name_stands_for_a_file_if_it_is_one_word_or_ends_in_py(name: str, expected: str | None) -> None:
    assert python_file_name(name) == expected


def test_the_first_folder_that_has_the_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (second / "costs.py").touch()
    monkeypatch.chdir(tmp_path)
    assert python_file("costs", [Path("first"), Path("second")]) == str(second / "costs.py")
    (first / "costs.py").touch()
    assert python_file("costs", [first, second]) == str(first / "costs.py")
    assert python_file(str(second / "costs.py"), [first]) == str(second / "costs.py")
    assert python_file("gone", [first, second]) is None
    assert python_file("first", [tmp_path]) is None
    assert python_file("costs", []) is None
