"""Loading a model folder, and classifying image files with it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hpo import plugins
from tests.trainables.inference.final_models import CLASSES, final_model, load, pictures, write
from trainables.data import images
from trainables.data.dataset import Files
from trainables.errors import SetupError
from trainables.inference import Predictor, predictor
from trainables.trainable import TransferModel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "m")
    return tmp_path / "m"


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_files_give_the_logits_of_the_trained_model_on_images_that_are_loaded_to_train(
    tmp_path: Path, resize: str
) -> None:
    final, paths = final_model(resize=resize), pictures(tmp_path / "pictures")
    write(tmp_path / "m", final)
    part = images.load(Files(tuple(paths), torch.zeros(len(paths), dtype=torch.int64)), final.image_format)
    with torch.no_grad():
        expected = final.model(part.images)
    logits, errors = load(tmp_path / "m").logits(paths)
    assert not errors
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.cuda
def test_a_model_on_cuda_gives_the_logits_of_the_cpu(folder: Path, tmp_path: Path) -> None:
    paths = pictures(tmp_path / "pictures")
    logits, errors = Predictor(folder, plugins.load, "cuda").logits(paths)
    assert not errors
    torch.testing.assert_close(logits, load(folder).logits(paths)[0], rtol=1e-2, atol=1e-2)  # convolutions use TF32


def test_predictions_are_the_most_likely_classes_with_calibrated_probabilities(folder: Path, tmp_path: Path) -> None:
    paths = pictures(tmp_path / "pictures")
    found = load(folder)
    expected = (found.logits(paths)[0].double() / 1.5).softmax(dim=1)
    for prediction, row in zip(found.predict(paths, top=9), expected, strict=True):
        order = row.argsort(descending=True).tolist()
        assert prediction.classes == tuple(CLASSES[i] for i in order)
        assert prediction.probabilities == pytest.approx(row[order].tolist())
        assert sum(prediction.probabilities) == pytest.approx(1)


def test_files_that_cannot_be_read_are_named_and_all_others_are_classified(folder: Path, tmp_path: Path) -> None:
    good = pictures(tmp_path / "pictures")[:4]
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "cut.jpg").write_bytes(good[0].read_bytes()[:-100])
    paths = [good[0], tmp_path / "text.jpg", *good[1:], tmp_path / "missing.png", tmp_path, tmp_path / "cut.jpg"]
    found = list(Predictor(folder, plugins.load, batch_size=2, n_read=3).predict(paths))
    assert [prediction.path for prediction in found] == paths
    assert [i for i, each in enumerate(found) if each.error is not None] == [1, 5, 6, 7]
    assert found[1].error == "it is no image of a known format"
    assert found[5].error == "No such file or directory"
    assert re.fullmatch(r"image file is truncated \(\d+ bytes not processed\)", found[7].error or "")
    assert found[1].classes == ()
    alone = [next(load(folder).predict([path])) for path in good]
    assert [found[i].classes for i in (0, 2, 3, 4)] == [each.classes for each in alone]


def test_a_model_of_grey_images_takes_colours_and_sizes_of_any_kind(tmp_path: Path) -> None:
    write(tmp_path / "m", final_model(shape=(1, 8, 12)))
    colour, _, grey = pictures(tmp_path / "pictures", sizes=[(12, 8)])
    image = load(tmp_path / "m").description.image
    assert predictor.read_pixels(colour, image).shape == (1, 8, 12)
    assert np.array_equal(predictor.read_pixels(grey, image)[0], np.array(Image.open(grey)))


def test_loading_a_model_changes_no_random_state(folder: Path) -> None:
    before = torch.get_rng_state()
    load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_of_another_module_is_written_as_a_program(tmp_path: Path) -> None:
    final = final_model()
    assert isinstance(final.model, TransferModel)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 3))
    write(tmp_path / "m", replace(final, model=module, name=None, plug_in=None))
    with torch.no_grad():
        expected = module(final.images.images.float() / 255)
    torch.testing.assert_close(load(tmp_path / "m").image_logits(final.images.images), expected)
    logits, probabilities = torch.export.load(tmp_path / "m" / "model.pt2").module()(final.images.images)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(probabilities, (expected / 1.5).softmax(dim=1))


def test_a_program_runs_on_the_cpu_and_another_device_is_an_error(tmp_path: Path) -> None:
    final = final_model()
    write(tmp_path / "m", replace(final, name=None, plug_in=None))
    with pytest.raises(SetupError, match="runs only on the CPU: use the device cpu, not cuda:0"):
        Predictor(tmp_path / "m", plugins.load, "cuda:0")
    found = Predictor(tmp_path / "m", plugins.load, "cuda:0", or_cpu=True)
    assert found.device.type == "cpu"
    assert found.image_logits(final.images.images).shape == (5, 3)


def edited(folder: Path, **changes: Any) -> None:
    """Change values of `model.json`. A name with two underscores is that of a value in an object."""
    content = json.loads((folder / "model.json").read_text())
    for name, value in changes.items():
        *outer, key = name.split("__")
        place = content[outer[0]] if outer else content
        place[key] = value
    (folder / "model.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 99}, "`format` is 99, but this version of hpo reads 1"),
        ({"format": "1"}, "`format` must be a whole number, but is '1'"),
        (
            {"classes": ["bee", "ant", "cat"]},
            "`classes` was changed after the model was written .*: copy the file again",
        ),
        (
            {"classes": ["ant", "bee"], "classes_sha256": None},
            "does not fit model.json, whose `classes` names 2 classes: size mismatch",
        ),
        ({"classes": ["ant", "ant", "bee"]}, "`classes` must be a list of two or more different names"),
        ({"temperature": 0}, "`temperature` must be a number above 0, but is 0"),
        ({"temperature": True}, "`temperature` must be a number above 0, but is True"),
        ({"image__mean": [0.5]}, "`image.mean` must be a list of 3 numbers"),
        ({"image__std": [1, 0, 1]}, "`image.std` must be a list of 3 numbers above 0"),
        ({"image__resize": "stretch"}, "`image.resize` must be crop or squash, but is 'stretch'"),
        ({"image__width": 20, "image__height": 16}, "`image.resize` must be squash, but is 'crop'"),
        ({"image__channels": 4}, "`image.channels` must be 1 or 3, but is 4"),
        ({"image__background": "pink"}, "`image.background` must be null, white or black, but is 'pink'"),
        ({"image": 3}, "`image` must be an object, but is 3"),
        ({"network__model": "timm:no_such"}, "timm has no network 'no_such'"),
        ({"network__configuration": {"width": 0}}, "its network cannot be built: `width` must be"),
        (
            {"network__model": "softmax_regression", "image__height": 10**7, "image__width": 10**7},
            "its network cannot be built: ",
        ),
        ({"network__configuration": {"width": 3}}, "does not fit model.json"),
        ({"weights_sha256": "0"}, "is damaged, or does not belong to the model.json beside it"),
    ],
)
def test_a_model_json_that_was_edited_is_an_error_that_names_the_key(
    folder: Path, changes: dict[str, Any], words: str
) -> None:
    edited(folder, **changes)
    with pytest.raises(SetupError, match=words) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_program_with_classes_in_another_order_is_an_error_too(tmp_path: Path) -> None:
    write(tmp_path / "m", replace(final_model(), name=None, plug_in=None))
    edited(tmp_path / "m", classes=["bee", "ant", "cat"])
    with pytest.raises(SetupError, match="`classes` was changed after the model was written"):
        load(tmp_path / "m")


def test_a_folder_of_an_earlier_version_without_a_hash_of_its_classes_is_loaded(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text())
    del content["classes_sha256"]
    (folder / "model.json").write_text(json.dumps(content))
    assert load(folder).classes == CLASSES


def cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-10])


def without_a_key(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["0.weight"]
    save_file(state, folder / "model.safetensors")
    edited(folder, weights_sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "model.json").unlink(), "is not a model folder, it has no model.json"),
        (lambda folder: (folder / "model.json").write_text("{"), "model.json: cannot be read"),
        (lambda folder: (folder / "model.json").write_text("[]"), "model.json: `format` is missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: cannot be read: No such file"),
        (cut, "model.safetensors: is damaged"),
        (without_a_key, "has no weights '0.weight' of the network small_cnn"),
    ],
)
def test_a_damaged_folder_is_an_error_that_names_the_file(
    folder: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(folder)
    with pytest.raises(SetupError, match=words):
        load(folder)
