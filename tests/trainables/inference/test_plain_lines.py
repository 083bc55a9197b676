"""The lines of a model's README, run as a user would: in new processes that know nothing of hpo."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.trainables.inference.final_models import CLASSES, final_model, load, pictures, write
from tests.trainables.inference.readme_lines import blocks, run
from trainables.data.decoding import DecodingOptions
from trainables.inference import plain_lines
from trainables.inference.description import FORMAT
from trainables.models import PlainNetwork

MODELS: dict[str, dict[str, Any]] = {
    "alexnet": {"shape": (3, 64, 64)},
    "conv4": {"config": {"hidden": 20}},
    "logistic_regression": {"shape": (1, 8, 8), "classes": ("ant", "bee")},
    "resnet18": {"shape": (3, 40, 40)},
    "small_cnn": {"shape": (1, 12, 20)},
    "softmax_regression": {"resize": "squash"},
    "squeezenet": {"shape": (3, 40, 40)},
    "timm:test_vit": {"shape": (3, 96, 96)},
    "timm:test_resnet": {"shape": (3, 32, 32)},
    "timm:deit_tiny_distilled_patch16_224": {"shape": (3, 32, 32)},
}
"""The bundled models, except those that are large and built like another; and networks of timm of each kind."""


@pytest.mark.slow
def test_they_give_the_logits_of_the_trained_model_for_every_bundled_model(tmp_path: Path) -> None:
    assert_alike(tmp_path, list(MODELS))


@pytest.mark.slow
def test_they_give_the_logits_of_the_trained_model(tmp_path: Path) -> None:
    assert_alike(tmp_path, ["small_cnn", "timm:test_vit", "timm:test_resnet"])


def assert_alike(folder: Path, models: list[str]) -> None:
    """Write these models, and compare the logits of their lines with those of the loaded models."""
    paths = pictures(folder / "pictures")
    folders = []
    for name in models:
        folders.append(folder / "models" / re.sub(r"\W", "_", name))
        assert write(folders[-1], final_model(name, **MODELS[name])) is None
    found = run(folders, paths)
    for each in folders:
        logits, errors = load(each).logits(paths)
        assert not errors
        torch.testing.assert_close(torch.tensor(found[each.name]), logits, rtol=1e-4, atol=1e-4)
        assert logits.std() > 0


@pytest.mark.slow
def test_they_read_files_as_the_options_of_the_training_say(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (20, 20), (200, 10, 30, 0))
    clear.paste((9, 90, 200, 255), (0, 0, 9, 20))
    turned = Image.new("RGB", (20, 20))
    turned.paste((255, 0, 0), (0, 0, 20, 5))
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "pictures").mkdir()
    clear.save(tmp_path / "pictures" / "clear.png")
    turned.save(tmp_path / "pictures" / "turned.png", exif=exif)
    paths = sorted((tmp_path / "pictures").iterdir())
    folders, rows = [], []
    for name, options in (
        ("default", {}),
        ("white", {"background": "white"}),
        ("unturned", {"exif_orientation": False}),
    ):
        folders.append(tmp_path / name)
        final = final_model()
        decoding = DecodingOptions(**options)
        write(folders[-1], replace(final, image_format=replace(final.image_format, decoding=decoding)))
        rows.append(load(folders[-1]).logits(paths)[0])
    found = run(folders, paths)
    for folder, logits in zip(folders, rows, strict=True):
        torch.testing.assert_close(torch.tensor(found[folder.name]), logits, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(rows[0][0], rows[1][0])
    assert not torch.allclose(rows[0][1], rows[2][1])


@pytest.mark.slow
def test_a_network_that_no_plain_code_builds_is_written_as_a_program(tmp_path: Path) -> None:
    final = final_model("softmax_regression")

    class WithoutCode:
        @staticmethod
        def plain_network(config: object, model: object, **options: object) -> None:
            return None

    class WithWrongCode:
        @staticmethod
        def plain_network(config: object, model: object, **options: object) -> PlainNetwork:
            return PlainNetwork("model = no_such_function()", {"": ""})

    class WithAnError:
        @staticmethod
        def plain_network(config: object, model: object, **options: object) -> PlainNetwork:
            raise ZeroDivisionError

    paths = pictures(tmp_path / "pictures")
    folders: list[Path] = []
    for plug_in in (None, WithoutCode, WithWrongCode, WithAnError):
        folders.append(tmp_path / str(len(folders)))
        note = write(folders[-1], replace(final, plug_in=plug_in))
        assert note == "no plain code builds the network, so model.pt2 holds it as a program of torch.export"
    write(tmp_path / "plain", final)
    expected, _ = load(tmp_path / "plain").logits(paths)
    for folder in folders:
        torch.testing.assert_close(load(folder).logits(paths)[0], expected)
    found = run(folders[:1], paths)
    torch.testing.assert_close(torch.tensor(found["0"]), expected, rtol=1e-4, atol=1e-4)


def test_the_last_lines_print_the_class_and_its_calibrated_probability(tmp_path: Path) -> None:
    (path, *_) = pictures(tmp_path / "pictures")
    write(tmp_path / "m", temperature=2.0)
    loading, using = blocks(tmp_path / "m")
    code = loading + using.replace(plain_lines.EXAMPLE, str(path))
    printed = subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", "-c", code],
        cwd=tmp_path / "m",
        capture_output=True,
        text=True,
        check=True,
    )
    (prediction,) = load(tmp_path / "m").predict([path])
    assert "ResourceWarning" not in printed.stderr
    name, probability = printed.stdout.split()
    assert name == prediction.classes[0]
    assert float(probability) == pytest.approx(prediction.probabilities[0], abs=1e-6)
    content = json.loads((tmp_path / "m" / "model.json").read_text())
    assert (content["format"], content["classes"], content["temperature"]) == (FORMAT, list(CLASSES), 2.0)


def test_the_readme_of_a_soup_names_its_trials(tmp_path: Path) -> None:
    write(tmp_path / "m", final_model("softmax_regression", resize="squash"))
    description = load(tmp_path / "m").description
    soup, alone = (replace(description, about={"training": {"soup": numbers}}) for numbers in ([3, 1], [3]))
    assert "the average of those of trials 3, 1" in plain_lines.readme(soup, None)
    assert "soup" not in plain_lines.readme(alone, None)
