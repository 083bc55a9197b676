"""Models written as model.onnx and model.pt2."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trainables.inference import final_models
from trainables.errors import SetupError
from trainables.inference import exports, networks
from trainables.inference.description import ImageInput

SHAPE = (3, 32, 32)
IMAGE = ImageInput(*SHAPE, "crop", (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


def images(n: int = 5, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def classifier(name: str = "softmax_regression", shape: tuple[int, int, int] = SHAPE) -> exports.Classifier:
    network = networks.network_of(final_models.final_model(name, shape).model.eval())
    return exports.Classifier(network, ImageInput(*shape, "crop", IMAGE.mean, IMAGE.std), 1.5).eval()


MODELS = [
    ("small_cnn", SHAPE),
    ("timm:test_vit", (3, 64, 64)),
    ("timm:test_convnext", (3, 64, 64)),
    *(
        pytest.param(name, shape, marks=pytest.mark.long)
        for name, shape in (("resnet18", SHAPE), ("squeezenet", (3, 64, 64)))
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), MODELS)
def test_both_formats_give_the_logits_and_the_probabilities_for_any_number_of_images(
    tmp_path: Path, name: str, shape: tuple[int, int, int]
) -> None:
    import onnxruntime

    found = classifier(name, shape)
    exports.write(tmp_path, found, images(3, shape), ("onnx", "torch"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    program = torch.export.load(tmp_path / "model.pt2").module()
    for n in (1, 2, 7):
        with torch.inference_mode():
            logits, probabilities = found(images(n, shape))
            of_program = program(images(n, shape))
        of_onnx = session.run(["logits", "probabilities"], {"images": images(n, shape).numpy()})
        for values in (of_program, of_onnx):
            assert networks.difference(torch.as_tensor(values[0]), logits) < 1e-4
            assert np.allclose(np.asarray(values[1]), probabilities.numpy(), atol=1e-5)
        assert torch.allclose(probabilities, (logits / 1.5).softmax(dim=1))


def test_the_images_are_normalized_inside() -> None:
    found = classifier()
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (IMAGE.mean, IMAGE.std))
    with torch.inference_mode():
        expected = found.network((images().float() / 255 - mean) / std)
        assert torch.equal(found(images())[0], expected)


def test_one_image_is_enough_to_write_and_check(tmp_path: Path) -> None:
    exports.write(tmp_path, classifier(), images(1), ("torch",))
    assert exports.run_program(tmp_path / "model.pt2", images(4)).shape == (4, 3)


class Changing(nn.Module):
    """A network that gives other logits each time it is called."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.rand(len(inputs), 3)


class Unwritable(nn.Module):
    """A network whose computation depends on the values of its input."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)[:, :3] if float(inputs.sum()) > 0 else inputs.flatten(1)[:, 3:6]


@pytest.mark.parametrize("network", [Changing(), Unwritable()])
def test_a_model_that_the_format_cannot_hold_is_refused_and_leaves_no_file(tmp_path: Path, network: nn.Module) -> None:
    with pytest.raises(SetupError, match="the model cannot be written as torch: "):
        exports.write(tmp_path, exports.Classifier(network, IMAGE, 1.0), images(), ("torch",))
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    exports.check_packages(["torch"])
    with pytest.raises(SetupError, match=r"the format onnx needs onnx, onnxruntime: pip install 'hpo\[onnx\]'"):
        exports.check_packages(["onnx"])


def run_lines(folders: list[Path], start: str, picture: Path) -> list[dict[str, object]]:
    """Run the Python of READMEs that follows `start` in one fresh process, each in its folder. Logits and classes."""
    code = "import json, os\n"
    for folder in folders:
        text = (folder / "README.md").read_text()
        lines = text[text.index(start) :].split("```python\n")[1].split("```")[0].replace("image.jpg", str(picture))
        code += f"os.chdir({str(folder)!r})\nscope = {{}}\nexec({lines!r}, scope)\n"
        code += "print(json.dumps({'logits': scope['logits'].tolist()}))\n"
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    shown = answer.stdout.splitlines()
    pairs = zip(shown[::2], shown[1::2], strict=True)  # the class, as the README prints it, and the logits
    return [{**json.loads(logits), "class": line.split()[0]} for line, logits in pairs]


@pytest.mark.slow
def test_the_lines_of_the_readmes_give_the_logits_of_the_model_folders(tmp_path: Path) -> None:
    folders = [tmp_path / "colour", tmp_path / "grey"]
    picture = final_models.pictures(tmp_path / "pictures")[0]
    for folder, shape in zip(folders, (SHAPE, (1, 16, 24)), strict=True):
        final = replace(final_models.final_model("softmax_regression", shape), formats=("onnx", "torch"))
        final_models.write(folder, final)
        assert sorted(path.name for path in folder.iterdir()) == [
            *("README.md", "model.json", "model.onnx", "model.pt2", "model.safetensors")
        ]
    for start in ("## onnxruntime", "## torch.export"):
        for folder, found in zip(folders, run_lines(folders, start, picture), strict=True):
            predictor = final_models.load(folder)
            expected, _ = predictor.logits([picture])
            assert networks.difference(torch.tensor(found["logits"]), expected) < 1e-4
            assert found["class"] == predictor.classes[int(expected.argmax())]
