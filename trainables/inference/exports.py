"""A model as one file for other software: `model.onnx` by torch.onnx, and `model.pt2` by torch.export.

The program in such a file takes images after decoding and resizing, uint8 (n, channels, height, width), for any n of at
least 1. It normalizes them itself. It returns the logits (n, n_classes) and the calibrated probabilities
(n, n_classes).
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from trainables.errors import SetupError, reason
from trainables.inference import networks
from trainables.inference.description import ImageInput
from trainables.inference.plain_lines import ONNX_FILE, PROGRAM_FILE

FORMATS = {"onnx": ONNX_FILE, "torch": PROGRAM_FILE}
"""The formats in which a model can be written, and the file of each."""
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""The packages that `onnx` needs to write the file and to check it."""
INPUT, OUTPUTS = "images", ("logits", "probabilities")
"""The names of the input and the outputs in `model.onnx`."""


class Classifier(nn.Module):
    """A network with the normalization of its images before it, and calibrated probabilities behind it."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, image: ImageInput, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.image = image
        self.temperature = temperature
        for name, values in (("mean", image.mean), ("std", image.std)):
            self.register_buffer(name, torch.tensor(values).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities of images, uint8 (n, channels, height, width)."""
        logits = self.network(self.normalize(images))
        return logits, (logits / self.temperature).softmax(dim=1)

    def normalize(self, images: Tensor) -> Tensor:
        """Return the input of the network for images, float32."""
        return (images.float() / 255 - self.mean) / self.std


def check_packages(formats: Collection[str]) -> None:
    """Raise SetupError if a package is missing that one of the formats needs."""
    missing = [name for name in ONNX_PACKAGES if "onnx" in formats and not _is_installed(name)]
    if missing:
        raise SetupError(f"the format onnx needs {', '.join(missing)}: pip install 'hpo[onnx]'")


def write(folder: Path, classifier: Classifier, images: Tensor, formats: Collection[str]) -> None:
    """Write a classifier in each of the formats, and check that each file gives its logits for `images`.

    `images` are real ones, uint8 (n, channels, height, width). The classifier must be on the CPU. Raises SetupError if
    it cannot be written, or if the logits differ by more than 1e-4. The file is then removed.
    """
    classifier.eval()
    # torch.export needs at least two examples, or it takes their number for a constant.
    examples = images[:2] if len(images) > 1 else images[:1].repeat(2, 1, 1, 1)
    with torch.inference_mode():
        expected = classifier(images)[0]
    for name in formats:
        path = folder / FORMATS[name]
        try:
            with _quiet():
                _WRITERS[name](classifier, examples, path)
                # One image and several, because the program must take any number.
                found = [(_RUNNERS[name](path, part), part_of) for part, part_of in _parts(images, expected)]
        except SetupError:
            raise
        except Exception as error:  # the exporters raise errors of many types
            path.unlink(missing_ok=True)
            raise SetupError(f"the model cannot be written as {name}: {reason(error)}") from error
        difference = max(networks.difference(logits, part_of) for logits, part_of in found)
        if difference > networks.TOLERANCE:
            path.unlink(missing_ok=True)
            raise SetupError(f"the model cannot be written as {name}: its logits differ by {difference:.2g}")


def run_onnx(path: Path, images: Tensor) -> Tensor:
    """Return the logits that `model.onnx` gives for images, by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(list(OUTPUTS), {INPUT: images.numpy()})[0])


def run_program(path: Path, images: Tensor) -> Tensor:
    """Return the logits that `model.pt2` gives for images, by torch on the CPU."""
    with torch.inference_mode():
        logits: Tensor = networks.load_program(path)(images)[0]
    return logits


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # it was imported without a specification, or is hidden
        return False


def _parts(images: Tensor, expected: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(images, expected), (images[:1], expected[:1])]


def _write_onnx(classifier: nn.Module, images: Tensor, path: Path) -> None:
    torch.onnx.export(
        classifier,
        (images,),
        path,
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        verbose=False,
    )


def _write_program(classifier: nn.Module, images: Tensor, path: Path) -> None:
    program = torch.export.export(classifier, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)


_WRITERS = {"onnx": _write_onnx, "torch": _write_program}
_RUNNERS = {"onnx": run_onnx, "torch": run_program}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """In this context, the exporters print and log nothing: their messages are about their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
