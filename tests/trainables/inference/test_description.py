"""The text of `model.json`, and reading it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from trainables.data.decoding import DecodingOptions
from trainables.errors import SetupError
from trainables.inference import description
from trainables.inference.description import ImageInput, ModelDescription, NetworkSource

DECODING = DecodingOptions(exif_orientation=False, background="white")
IMAGE = ImageInput(3, 16, 16, "crop", (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), DECODING)
SOURCE = NetworkSource("small_cnn", {"width": 8}, "import torch\nmodel = None\n")
DESCRIPTION = ModelDescription(("ant", "bee"), IMAGE, SOURCE, 1.5, "0" * 64, {"study": {"name": "s"}})


def test_a_description_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(DESCRIPTION.to_json())
    assert description.read(tmp_path) == DESCRIPTION


def test_each_value_stands_in_the_text_once() -> None:
    content = json.loads(DESCRIPTION.to_json())
    assert list(content) == [
        *("format", "classes", "classes_sha256", "image", "temperature", "network", "weights_sha256", "study")
    ]
    assert list(content["image"]) == [
        *("channels", "height", "width", "resize", "mean", "std"),
        *("exif_orientation", "background", "tolerate_truncated", "max_pixels", "max_text_bytes"),
    ]
    assert list(content["network"]) == ["model", "configuration", "code"]


def test_numbers_that_are_not_finite_are_written_as_null() -> None:
    about = {"results": {"loss": math.nan, "values": [1.0, math.inf]}, "bounds": (-math.inf, 2)}
    content = json.loads(replace(DESCRIPTION, about=about).to_json())
    assert content["results"] == {"loss": None, "values": [1.0, None]}
    assert content["bounds"] == [None, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000 + "]" * 100_000, r"model\.json: cannot be read: its values are nested too deeply$"),
        ('{"format": 1, "classes": ' + "[" * 100_000 + "]" * 100_000 + "}", r"nested too deeply$"),
        (DESCRIPTION.to_json().replace("1.5", "1" + "0" * 400), "`temperature` must be a number above 0"),
        (DESCRIPTION.to_json().replace("1.5", "NaN"), "`temperature` must be a number above 0, but is nan"),
        (DESCRIPTION.to_json().replace('"white"', "[]"), "`image.background` must be null, white or black"),
    ],
)
def test_a_file_with_extreme_values_is_an_error_of_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(SetupError, match=words) as caught:
        description.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_large_whole_numbers_are_read_as_floats(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(DESCRIPTION.to_json().replace("0.4,", "1" + "0" * 30 + ",", 1))
    assert description.read(tmp_path).image.mean[0] == 1e30
