from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpo.errors import StudyError, UnknownName
from hpo.figures.plot import KINDS, plot
from hpo.figures.plot_options import labels
from tests.figures.sealed_digits import refused

OF_A_CLONE = ("misclassified", "confusion", "per_class", "samples", "validation_test")


def rewrite(folder: Path, **changes: Any) -> None:
    """Change each result of a test."""
    path = folder / "test.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"results": [entry | changes for entry in content["results"]]}))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_written_as_png_and_svg_without_a_look_at_held_out_data(folder: Path, kind: str) -> None:
    before = (folder / "test.json").read_bytes()
    png, svg = plot(folder, kind)
    assert (png, svg) == (folder / "figures" / f"{kind}.png", folder / "figures" / f"{kind}.svg")
    with Image.open(png) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert min(image.size) > 300
    assert svg.read_text().startswith("<?xml")
    assert (folder / "test.json").read_bytes() == before


def test_with_out_the_suffix_says_what_is_written(folder: Path, tmp_path: Path) -> None:
    for suffix in (".svg", ".png"):
        out = tmp_path / f"figure{suffix}"
        assert plot(folder, "curves", out=out) == [out]
        assert b"<svg" in out.read_bytes() or out.read_bytes().startswith(b"\x89PNG")
    assert not (folder / "figures").exists()


@pytest.mark.parametrize("name", ["figure.jpg", "figure", "nowhere/figure.png", "folder.png"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_drawn(folder: Path, name: str) -> None:
    (folder / "folder.png").mkdir()
    assert f"--out {folder / name}" in refused(folder, "curves", out=folder / name)


def test_an_unknown_kind_is_named_with_the_nearest(folder: Path) -> None:
    assert "unknown kind 'curve'; did you mean 'curves'?" in refused(folder, "curve", UnknownName)


@pytest.mark.parametrize(
    ("kind", "wishes", "message"),
    [
        ("curves", {"stage": "stage1"}, "--stage is not used by --kind curves; it is an option of activa"),
        ("tsne", {"top": 2}, "it is an option of curves, validation_test"),
        ("curves", {"top": 2, "trials": [0]}, "give one of them"),
        ("curves", {"top": 0}, "--top 0: at least 1"),
        ("curves", {"trials": [9]}, "has no trial 9, but 4 numbered from 0"),
        ("filters", {"trials": [9]}, "has no trial 9, but 4 numbered from 0"),
        ("filters", {"trials": [0, 1]}, "the model of one trial"),
        ("validation_test", {"trials": [0, 9]}, "trial 9 of study 's' was not tested; these were: 0, 1, 2, 3"),
        ("activations", {"stage": "stage3"}, r"there is no stage 'stage3' (allowed: stage1, stage2)"),
        ("activations", {"image": "5000"}, "the validation part has 71 images, numbered from 0"),
        ("activations", {"image": "no.png"}, "--image no.png: cannot be read as an image"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(folder: Path, kind: str, wishes: Any, message: str) -> None:
    assert message in refused(folder, kind, **wishes)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OF_A_CLONE])
def test_a_clone_is_told_what_it_lacks_and_what_can_be_drawn(clone: Path, kind: str) -> None:
    message = refused(clone, kind, StudyError)
    assert "stays on the machine that searched" in message
    assert "Without it there are the kinds confusion, per_class, samples and validation_test" in message


@pytest.mark.slow
@pytest.mark.parametrize("kind", OF_A_CLONE)
def test_a_clone_can_draw_what_the_test_left(clone: Path, kind: str) -> None:
    assert all(path.exists() for path in plot(clone, kind))
    assert not (clone / "checkpoints").exists()


@pytest.mark.parametrize("kind", OF_A_CLONE)
def test_before_a_test_the_command_that_tests_is_named(folder: Path, kind: str) -> None:
    for name in ("test.json", "misclassified.npz", "confusion.csv"):
        (folder / name).unlink()
    assert "run `hpo test s" in refused(folder, kind, StudyError)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_file_of_mistakes_is_named(folder: Path, content: bytes) -> None:
    (folder / "misclassified.npz").write_bytes(content)
    assert "misclassified.npz: is damaged" in refused(folder, "misclassified", StudyError)


def test_a_damaged_result_is_named(folder: Path) -> None:
    rewrite(folder, val_accuracy=None)
    assert "test.json: is damaged" in refused(folder, "validation_test", StudyError)


def test_tests_that_all_diverged_leave_nothing_to_draw(folder: Path) -> None:
    rewrite(folder, test_accuracy={"mean": None, "std": None, "values": [None]})
    assert "finite test accuracy" in refused(folder, "samples", StudyError)


def test_where_nothing_is_misclassified_that_is_said(folder: Path) -> None:
    with np.load(folder / "misclassified.npz") as file:
        content = {key: value if value.ndim == 0 else value[:0] for key, value in file.items()}
    np.savez(folder / "misclassified.npz", allow_pickle=False, **content | {"n_wrong": np.array(0)})
    assert "got all 360 held-out images right" in refused(folder, "misclassified")


def test_a_study_that_does_not_search_the_number_of_samples_cannot_draw_it(folder: Path) -> None:
    path = folder / "study.yaml"
    path.write_text(path.read_text().replace("samples_per_class", "head_samples"))
    assert "does not search 'samples_per_class'" in refused(folder, "samples")


def test_a_label_tells_what_sets_a_trial_apart() -> None:
    configs: Any = {
        4: {"a": 1, "b": "x", "c": 0.12345},
        7: {"a": 1, "b": "y", "c": 0.12345},
        9: {"a": 1, "b": "y", "d": 2},
    }
    assert labels(configs) == ["trial 4: b=x, c=0.123", "trial 7: b=y, c=0.123", "trial 9: b=y, d=2"]
    assert labels({3: {"a": 1}}) == ["trial 3"]


def test_a_missing_matplotlib_is_named_with_how_to_install_it(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hpo.figures.plot import plot\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'matplotlib': raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "plot(Path(sys.argv[1]), 'curves')"
    )
    answer = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False)
    assert "hpo.errors.UserError: figures need matplotlib" in answer.stderr
    assert "pip install 'hpo[plot]'" in answer.stderr


def test_neither_matplotlib_nor_torch_is_imported_before_a_figure_needs_it() -> None:
    script = "import hpo.figures.plot, sys; print([name for name in ('matplotlib', 'torch') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
