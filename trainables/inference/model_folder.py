"""A model folder: `model.safetensors`, `model.json` and a README. The folder is written atomically."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.data.dataset import Part
from trainables.data.images import ImageFormat
from trainables.errors import SetupError
from trainables.hyperparameters import Config
from trainables.inference import export_lines, exports, networks, plain_lines
from trainables.inference.description import DESCRIPTION_FILE, ImageInput, ModelDescription, NetworkSource
from trainables.inference.plain_lines import ONNX_FILE, PROGRAM_FILE, README_FILE, WEIGHTS_FILE
from trainables.models import PlainNetwork, _weights
from trainables.store import atomic_folders
from trainables.trainable import TransferModel

FILES = (WEIGHTS_FILE, DESCRIPTION_FILE, README_FILE, PROGRAM_FILE, ONNX_FILE)
"""The files that a model folder may hold."""
N_CHECKED = 16
"""The number of images on which a written model is compared with the trained one."""

Check = Callable[[Path, Tensor], Tensor]
"""Loads the model of a folder and returns its logits for normalized images."""


@dataclass(frozen=True)
class FinalModel:
    """A trained model to write."""

    model: nn.Module
    """A TransferModel, or another module that takes images of 0..1 and returns logits."""
    name: str | None
    """The name of its plug-in. None if it has none."""
    plug_in: Any
    """The plug-in of this name, or None."""
    configuration: Config
    """The hyperparameters of its training."""
    classes: tuple[str, ...]
    image_format: ImageFormat
    """How the images were loaded that it was trained on."""
    images: Part
    """Images to check it on, such as the validation part."""
    formats: tuple[str, ...] = ()
    """The further formats to write it in, see `trainables.inference.exports`."""


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Raise SetupError if a model folder cannot be written at `folder`.

    It must not exist, or be empty. With `overwrite`, it may also be a model folder without any other files, but not the
    current folder.
    """
    atomic_folders.recover(folder)
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise SetupError(f"{folder}: exists, and is not a folder")
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return
    if DESCRIPTION_FILE not in names:
        raise SetupError(f"{folder}: is not empty, and is not a model folder: name a new one")
    if others := [name for name in names if name not in FILES]:
        raise SetupError(f"{folder}: holds other files beside a model, such as {others[0]}: name a new folder")
    if not overwrite:
        raise SetupError(f"{folder}: holds a model already: name a new folder, or give --overwrite to replace it")
    if folder.samefile("."):
        raise SetupError(f"{folder}: is the current folder, which cannot be replaced: go to another one")


def write(
    folder: Path,
    final: FinalModel,
    *,
    temperature: float,
    about: Mapping[str, Any],
    check: Check,
    overwrite: bool = False,
) -> str | None:
    """Write a model folder, and check that it gives the logits of the model on some of its images.

    `about` is described in `ModelDescription`. `check` loads what was written. The model is left in evaluation mode, on
    the CPU.

    Returns a note if the network is written as a program of torch.export, because no plain code builds it. Raises
    SetupError if the folder cannot be written there, or if the model cannot be written so that it gives these logits.
    """
    check_target(folder, overwrite=overwrite)
    model = final.model.cpu().eval()
    image = _image_input(final)
    with torch.no_grad():
        inputs = normalize(final.images.batch(slice(N_CHECKED)).cpu(), image)
        network = networks.network_of(model)
        expected = network(inputs)
    plain = _plain_network(final, inputs, expected)

    def fill(temporary: Path) -> None:
        state = model.state_dict() if plain is None else plain.to_plain(model.state_dict())
        _weights.save(state, temporary / WEIGHTS_FILE)
        weights_path = temporary / WEIGHTS_FILE
        if plain is None:
            weights_path = temporary / PROGRAM_FILE
            networks.export(network, inputs, weights_path)
        source = NetworkSource(
            None if plain is None else final.name,
            dict(final.configuration),
            f'model = torch.export.load("{PROGRAM_FILE}").module()\n' if plain is None else plain.code,
        )
        description = ModelDescription(final.classes, image, source, temperature, file_hash(weights_path), about)
        (temporary / DESCRIPTION_FILE).write_text(description.to_json(), encoding="utf-8")
        readme = plain_lines.readme(description, None if plain is None else plain.package)
        readme += export_lines.sections(description, final.formats)
        (temporary / README_FILE).write_text(readme, encoding="utf-8")
        found = networks.difference(check(temporary, inputs), expected)
        if found > networks.TOLERANCE:
            raise SetupError(f"the written model gives other logits than the trained one: they differ by {found:.2g}")
        _export(temporary, final, network, description)

    atomic_folders.write(folder, fill)
    if plain is not None:
        return None
    return f"no plain code builds the network, so {PROGRAM_FILE} holds it as a program of torch.export"


def _export(folder: Path, final: FinalModel, network: nn.Module, description: ModelDescription) -> None:
    """Write the further formats. A file that is there already, because no plain code builds the network, is kept."""
    formats = [name for name in final.formats if not (folder / exports.FORMATS[name]).exists()]
    images = final.images.batch(slice(N_CHECKED)).cpu()
    if images.dtype != torch.uint8:
        images = (images * 255).round().to(torch.uint8)
    classifier = exports.Classifier(network, description.image, description.temperature)
    exports.write(folder, classifier, images, formats)


def normalize(images: Tensor, image: ImageInput) -> Tensor:
    """Return the input of a network for images, uint8 or float of 0..1, (n, channels, height, width)."""
    if images.dtype == torch.uint8:
        images = images.float().div_(255)
    mean, std = (torch.tensor(values, device=images.device).reshape(1, -1, 1, 1) for values in (image.mean, image.std))
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _image_input(final: FinalModel) -> ImageInput:
    """How files become the input of the network."""
    channels, height, width = final.images.shape
    if channels not in (1, 3):
        raise SetupError(f"the images have {channels} channels: only a model of 1 or 3 can take image files")
    mean, std = (0.0,) * channels, (1.0,) * channels
    if isinstance(final.model, TransferModel):
        mean, std = (_channel_values(each, channels) for each in (final.model.mean, final.model.std))
    resize = final.image_format.resize if height == width else "squash"
    return ImageInput(channels, height, width, resize, mean, std, final.image_format.decoding)


def _channel_values(values: Tensor, channels: int) -> tuple[float, ...]:
    """The value of each channel, with as few digits as float32 needs. `values` is (1, channels or 1, 1, 1)."""
    return tuple(float(str(value)) for value in values.expand(1, channels, 1, 1).flatten().numpy())


def _plain_network(final: FinalModel, inputs: Tensor, expected: Tensor) -> PlainNetwork | None:
    """The plain network of a model. None if its plug-in states none, or if that gives other logits than the model."""
    state_plain = getattr(final.plug_in, "plain_network", None)
    if state_plain is None or not isinstance(final.model, TransferModel):
        return None
    try:
        found: PlainNetwork | None = state_plain(
            final.configuration, final.model, shape=final.images.shape, n_classes=len(final.classes)
        )
        if found is None:
            return None
        network = networks.build_plain(found, final.model.state_dict())
        with torch.inference_mode():
            logits = network(inputs)
    except Exception:  # the code of a user's plug-in may raise any error
        return None
    return found if networks.difference(logits, expected) <= networks.TOLERANCE else None
