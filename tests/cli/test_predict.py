"""The command `hpo predict`: classes of image files, on the screen and as CSV."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from hpo.cli.app import app
from hpo.cli.predict import Layout
from tests.cli.commands import ROOT
from tests.trainables.inference import final_models
from trainables.inference import Prediction


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, and nine images in a folder below it, as the current one."""
    monkeypatch.chdir(tmp_path)
    final_models.write(tmp_path / "model")
    final_models.pictures(tmp_path / "images" / "deep")
    return tmp_path


def predict(*words: object) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, words)])


def refused(*words: object) -> str:
    """The error of a command that is wrong."""
    result = predict(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


def test_a_line_for_each_image_names_its_class_with_the_probability(folder: Path) -> None:
    result = predict("model", "images")
    assert result.exit_code == 0
    lines = [line.rsplit(maxsplit=2) for line in result.stdout.splitlines()]
    assert [path for path, _, _ in lines] == sorted(map(str, Path("images").rglob("*.*")))
    expected = final_models.load(folder / "model").predict([Path(path) for path, _, _ in lines])
    for (_, name, probability), found in zip(lines, expected, strict=True):
        assert (name, probability) == (found.classes[0], f"{found.probabilities[0]:.4f}")
    assert result.stderr == ""


def test_the_csv_has_the_likeliest_classes_with_all_digits(folder: Path) -> None:
    result = predict("model", "images", "--top", 2, "--out", "found.csv")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "found.csv: 9 images\n")
    table = pd.read_csv("found.csv")
    assert list(table) == ["path", "class", "probability", "class_2", "probability_2"]
    expected = list(final_models.load(folder / "model").predict([Path(path) for path in table.path], top=2))
    assert table.probability.tolist() == pytest.approx([each.probabilities[0] for each in expected], abs=1e-9)
    assert table.class_2.tolist() == [each.classes[1] for each in expected]
    assert sorted(path.name for path in folder.iterdir()) == ["found.csv", "images", "model"]


def test_more_classes_than_there_are_are_all_of_them(folder: Path) -> None:
    assert predict("model", "images", "--top", 9, "--out", "found.csv").exit_code == 0
    assert list(pd.read_csv("found.csv"))[-1] == "probability_3"


def test_files_and_folders_are_read_in_order_and_no_image_twice(folder: Path) -> None:
    first = Path("images/deep/40x30 grey.png")
    result = predict("model", first, "images", "images/deep")
    paths = [line.rsplit(maxsplit=2)[0] for line in result.stdout.splitlines()]
    assert paths[0] == str(first)
    assert len(paths) == len(set(paths)) == 9


def test_images_are_known_by_their_content_and_notes_beside_them_are_left_out(folder: Path) -> None:
    Path("images/deep/40x30 grey.png").rename("images/photo")
    Path("images/notes.txt").write_text("notes")
    Path("images/program.bin").write_bytes(b"\0\1\2\3" * 20)
    result = predict("model", "images")
    assert len(result.stdout.splitlines()) == 9
    assert "images/photo" in result.stdout
    assert result.stderr == "hpo: 1 other file left out: of no known image format, such as images/program.bin\n"


def test_an_unreadable_file_is_named_and_skipped(folder: Path) -> None:
    Path("images/broken.jpg").write_bytes(b"no image")
    result = predict("model", "images", "--out", "found.csv")
    assert result.exit_code == 0
    assert result.stderr.startswith("hpo: images/broken.jpg: skipped, cannot be read as an image: ")
    assert len(pd.read_csv("found.csv")) == 9


def test_a_file_that_is_named_itself_is_read_whatever_its_suffix(folder: Path) -> None:
    Path("images/deep/40x30 grey.png").rename("grey.txt")
    assert predict("model", "grey.txt").stdout.startswith("grey.txt")


def test_without_any_readable_image_nothing_is_written(folder: Path) -> None:
    Path("broken.jpg").write_bytes(b"no image")
    assert "none of the files can be read as an image" in refused("model", "broken.jpg", "--out", "found.csv")
    Path("empty").mkdir()
    assert "there is no image in empty" in refused("model", "empty", "--out", "found.csv")
    assert not Path("found.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model", "images", "nowhere", "missing.png"), "hpo: nowhere: does not exist\nmissing.png: does not exist\n"),
        (("model", "images", "--out", "nowhere/found.csv"), "--out nowhere/found.csv: there is no folder nowhere"),
        (("model", "images", "--out", "images"), "--out images: is no regular file"),
        (("images", "images"), "is not a model folder"),
        (("images", "model"), "hpo: images: is not a model folder"),
        (("nowhere", "images"), "hpo: nowhere: does not exist: a model folder is needed"),
        (("model", "images", "--device", "tpu"), "tpu"),
        (("model",), "Missing argument 'IMAGE_OR_FOLDER...'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(folder: Path, words: tuple[str, ...], message: str) -> None:
    assert message in refused(*words, *(() if "--out" in words else ("--out", "found.csv")))
    assert sorted(path.name for path in folder.iterdir()) == ["images", "model"]


def test_a_file_that_a_study_writes_itself_is_not_replaced(folder: Path) -> None:
    (folder / "s").mkdir()
    (folder / "s" / "study.yaml").write_text("")
    (folder / "s" / "trials.csv").write_text("mine")
    assert "study 's' writes trials.csv itself" in refused("m", "images", "--out", "s/trials.csv")
    assert (folder / "s" / "trials.csv").read_text() == "mine"


def test_a_failed_command_keeps_the_earlier_file(folder: Path) -> None:
    Path("found.csv").write_text("earlier")
    Path("broken.jpg").write_bytes(b"no image")
    assert predict("model", "broken.jpg", "--out", "found.csv").exit_code == 2
    assert Path("found.csv").read_text() == "earlier"


def test_names_that_are_not_utf_8_are_escaped(folder: Path) -> None:
    (folder / "images" / "deep" / "40x30 grey.png").rename(folder / "caf\udce9.png")
    assert predict("model", "caf\udce9.png").stdout.startswith(r"caf\xe9.png")
    assert predict("model", "caf\udce9.png", "--out", "found.csv").exit_code == 0
    assert pd.read_csv("found.csv").path.tolist() == [r"caf\xe9.png"]


@pytest.mark.slow
def test_a_closed_output_is_no_error(folder: Path) -> None:
    script = f"{sys.executable} -m hpo.cli predict model images | head -1"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    found = subprocess.run(script, shell=True, capture_output=True, text=True, check=True, env=environment)
    assert len(found.stdout.splitlines()) == 1
    assert found.stderr == ""


LONG = Prediction(
    Path("photos/2026/summer/on the beach/IMG_0001.jpg"), ("bee", "a class with a long name"), (0.9, 0.1), None
)


def lines(width: int | None, n_top: int = 2) -> Iterator[str]:
    shown = LONG._replace(classes=LONG.classes[:n_top], probabilities=LONG.probabilities[:n_top])
    yield from Layout.of([LONG.path], LONG.classes, n_top, width).lines(shown)


def test_without_a_limit_and_in_a_wide_terminal_an_image_has_one_line() -> None:
    expected = [f"{LONG.path}  bee{' ' * 21} 0.9000  a class with a long name 0.1000"]
    assert list(lines(None)) == list(lines(140)) == expected


def test_in_a_terminal_of_80_columns_the_beginning_of_a_long_path_is_cut() -> None:
    (line,) = lines(80, n_top=1)
    assert line == f"{LONG.path}  bee{' ' * 21} 0.9000"
    (line,) = lines(70, n_top=1)
    assert line == f"...{str(LONG.path)[-34:]}  bee{' ' * 21} 0.9000"
    assert len(line) == 70


def test_in_a_narrow_terminal_the_classes_stand_below_the_path() -> None:
    path, *classes = lines(40)
    assert path == f"...{str(LONG.path)[-37:]}"
    assert classes == ["  bee 0.9000", "  a class with a long name 0.1000"]
    assert list(lines(30))[2] == "  a class with a lon... 0.1000"
