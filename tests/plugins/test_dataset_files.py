"""Data sets whose code is a Python file beside the space, or in the working directory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo import plugins
from hpo.errors import UnknownName, UserError
from hpo.plugins import python_files
from hpo.space import DatasetSpec, Task

BUILD = "def build(root): ...\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def problems(data: DatasetSpec, *folders: Path) -> list[str]:
    return [text for _, text in plugins.data_problems("dataset", data, folders)]


def test_the_first_folder_that_has_the_file_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        path.mkdir()
        (path / "mine.py").write_text(BUILD)
    (second / "other.py").write_text(BUILD)
    task = plugins.located(Task(dataset=DatasetSpec("mine"), pretraining=DatasetSpec("other")), [first, second])
    assert task.data_files == {"dataset": str(first / "mine.py"), "pretraining": str(second / "other.py")}
    assert plugins.located(task, [second]) == task


@pytest.mark.parametrize("name", ["sub/mine.py", "mine.py", "{folder}/sub/mine.py"])
def test_a_file_may_be_named_by_its_path(folder: Path, name: str) -> None:
    for path in (folder / "mine.py", folder / "sub" / "mine.py"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(BUILD)
    data = DatasetSpec(name.format(folder=folder))
    assert problems(data, folder) == []
    found = plugins.located(Task(dataset=data), [folder]).data_files["dataset"]
    assert found == str(folder / data.name)
    assert callable(plugins.load(plugins.DATASETS, found).build)


def test_an_unknown_name_is_told_the_nearest_file_and_where_it_was_looked_for(folder: Path) -> None:
    (folder / "flowers.py").write_text(BUILD)
    (folder / "flower.py").write_text("x = 1\n")  # a script that is no data set
    (text,) = problems(DatasetSpec("flowrs"), folder)
    assert text.startswith("unknown dataset 'flowrs'; did you mean 'flowers'? (allowed: ")
    assert f"; there is no file flowrs.py in {folder}" in text


def test_a_missing_module_is_told_as_before(folder: Path) -> None:
    (text,) = problems(DatasetSpec("no_such_package.data"), folder)
    assert text.startswith("unknown dataset module 'no_such_package.data'")


def test_a_file_with_the_name_of_a_bundled_data_set_must_be_renamed(folder: Path) -> None:
    (folder / "digits.py").write_text("print('a script')\n")
    assert problems(DatasetSpec("digits"), folder) == []
    (folder / "digits.py").write_text("import torch\n\n\n" + BUILD)
    (text,) = problems(DatasetSpec("digits"), folder)
    assert text == (
        f"'digits' is a data set of this installation, and the file {folder / 'digits.py'} has its name: "
        "rename the file"
    )
    bundled = Path(plugins.load(plugins.DATASETS, "digits").__file__).parent
    assert problems(DatasetSpec("digits"), bundled) == []


def test_the_options_of_a_file_are_checked_before_it_is_imported(folder: Path) -> None:
    (folder / "mine.py").write_text("OPTIONS = {'kind': ['a', 'b']}\nraise AssertionError('imported')\n" + BUILD)
    assert problems(DatasetSpec("mine", {"kind": "a"}), folder) == []
    assert problems(DatasetSpec("mine", {"kid": "a"}), folder) == [
        "data set 'mine' has no such option; did you mean 'kind'? (allowed: kind)"
    ]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1\ny = x / 0\n", "mine.py:2: ZeroDivisionError: division by zero"),
        ("def f():\n    return {}['a']\n\n\nf()\n", "mine.py:2: KeyError: 'a'"),
        ("x = 1\nx = (\n", "mine.py:2: SyntaxError: "),
        ("import sys\n\nsys.exit(0)\n", "mine.py:3: SystemExit: 0"),
        ("import no_such_package\n", "dataset 'mine' needs no_such_package, which is not installed"),
        ("x = 1\n", "dataset 'mine': {file} has no function `build`"),
    ],
)
def test_a_file_that_cannot_be_imported_is_an_error_of_one_line(folder: Path, source: str, told: str) -> None:
    file = folder / "mine.py"
    file.write_text(source)
    with pytest.raises(UserError) as caught:
        plugins.load(plugins.DATASETS, str(file))
    assert told.format(file=file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_may_import_what_lies_beside_it_and_hides_no_other_module(folder: Path) -> None:
    (folder / "beside_a_data_set.py").write_text("x = 3\n")
    (folder / "random.py").write_text("from beside_a_data_set import x\n" + BUILD)
    assert python_files.load(folder / "random.py").x == 3
    import random

    assert not hasattr(random, "build")


def test_a_file_that_is_gone_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"dataset 'mine': there is no file .*mine\.py; bring it back"):
        plugins.load(plugins.DATASETS, str(folder / "mine.py"))


@pytest.mark.parametrize("package", ["trainables.models", "trainables.regimes", "hpo.backends", "hpo.runners"])
def test_only_a_data_set_may_be_a_file(folder: Path, package: str) -> None:
    file = folder / "mine.py"
    file.write_text("raise AssertionError('imported')\n" + BUILD)
    with pytest.raises(UnknownName, match=r"mine\.py'.*a module of your own is named package\.module"):
        plugins.load(package, str(file))
