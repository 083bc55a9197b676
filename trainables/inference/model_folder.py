"""A model folder: `model.safetensors`, `model.json` and a README. The folder is written atomically."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.data.dataset import Part
from trainables.data.images import ImageFormat
from trainables.errors import SetupError, reason
from trainables.hyperparameters import Config
from trainables.inference import export_lines, exports, networks, plain_lines
from trainables.inference.description import DESCRIPTION_FILE, ImageInput, ModelDescription, NetworkSource
from trainables.inference.plain_lines import ONNX_FILE, PROGRAM_FILE, README_FILE, WEIGHTS_FILE
from trainables.models import PlainNetwork, _lora, _weights
from trainables.store import atomic_folders
from trainables.trainable import TransferModel

FILES = (WEIGHTS_FILE, DESCRIPTION_FILE, README_FILE, PROGRAM_FILE, ONNX_FILE)
"""The files that a model folder may hold."""
N_CHECKED = 16
"""The number of images on which a written model is compared with the trained one."""

Check = Callable[[Path, Tensor], Tensor]
"""Loads the model of a folder and returns its logits for images, uint8 (n, channels, height, width)."""


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

    It must not exist, or be empty. With `overwrite`, it may also be a model folder without any other files. It must not
    be the current folder, because a folder is replaced as a whole.
    """
    atomic_folders.recover(folder)
    try:
        if folder.exists() or folder.is_symlink():
            _check_existing(folder, overwrite=overwrite)
        _check_parent(folder)
    except SetupError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a name that no file may have, or a loop of links
        why = getattr(error, "strerror", None) or reason(error)
        raise SetupError(f"--out {folder}: cannot be written: {why}") from None


def _check_existing(folder: Path, *, overwrite: bool) -> None:
    """Raise SetupError if what is at `folder` may not be replaced."""
    if not folder.is_dir():
        raise SetupError(f"{folder}: exists, and is not a folder")
    if folder.samefile("."):
        raise SetupError(f"--out {folder}: is the current folder, which cannot be replaced: name another one")
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return
    if DESCRIPTION_FILE not in names:
        raise SetupError(f"{folder}: is not empty, and is not a model folder: name a new one")
    if others := [name for name in names if name not in FILES]:
        raise SetupError(f"{folder}: holds other files beside a model, such as {others[0]}: name a new folder")
    if not overwrite:
        raise SetupError(f"{folder}: holds a model already: name a new folder, or give --overwrite to replace it")


def _check_parent(folder: Path) -> None:
    """Raise SetupError if no folder can be made in the nearest folder above `folder` that exists."""
    parent = next(each for each in folder.resolve().parents if each.exists())
    if not parent.is_dir():
        raise SetupError(f"--out {folder}: cannot be written: {parent} is not a folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise SetupError(f"--out {folder}: cannot be written: no permission to write to {parent}")


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
    the CPU, with the adapters of LoRA merged into its weights.

    Returns a note if the network is written as a program of torch.export, because no plain code builds it. Raises
    SetupError if the folder may not be written there, or if the model cannot be written so that it gives these logits.
    Raises OSError if the disk is full, or if a file cannot be written for another reason.
    """
    check_target(folder, overwrite=overwrite)
    model = final.model.cpu().eval()
    classifier = exports.Classifier(networks.network_of(model), _image_input(final), temperature)
    images = _bytes(final.images.batch(slice(N_CHECKED)).cpu())
    with torch.no_grad():
        expected = classifier(images)[0]
    _lora.merge(model)
    plain = _plain_network(final, classifier, images)
    formats = tuple(dict.fromkeys([*final.formats, *(["torch"] if plain is None else [])]))

    def fill(temporary: Path) -> None:
        state = model.state_dict() if plain is None else plain.to_plain(model.state_dict())
        _weights.save(state, temporary / WEIGHTS_FILE)
        exports.write(temporary, classifier, images, formats)
        weights_hash = file_hash(temporary / (PROGRAM_FILE if plain is None else WEIGHTS_FILE))
        source = _source(final, plain)
        description = ModelDescription(final.classes, classifier.image, source, temperature, weights_hash, about)
        (temporary / DESCRIPTION_FILE).write_text(description.to_json(), encoding="utf-8")
        readme = plain_lines.readme(description, None if plain is None else plain.package)
        readme += export_lines.sections(description, formats)
        (temporary / README_FILE).write_text(readme, encoding="utf-8")
        found = networks.difference(check(temporary, images), expected)
        if found > networks.TOLERANCE:
            raise SetupError(f"the written model gives other logits than the trained one: they differ by {found:.2g}")

    atomic_folders.write(folder, fill)
    if plain is not None:
        return None
    return f"no plain code builds the network, so {PROGRAM_FILE} holds it as a program of torch.export"


def _source(final: FinalModel, plain: PlainNetwork | None) -> NetworkSource:
    """What builds the network: its plain code, or the program of torch.export if there is none."""
    if plain is None:
        return NetworkSource(None, dict(final.configuration), f'model = torch.export.load("{PROGRAM_FILE}").module()\n')
    return NetworkSource(final.name, dict(final.configuration), plain.code)


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


def _bytes(images: Tensor) -> Tensor:
    """Images, uint8 or float of 0..1, as uint8."""
    return images if images.dtype == torch.uint8 else (images * 255).round().to(torch.uint8)


def _plain_network(final: FinalModel, classifier: exports.Classifier, images: Tensor) -> PlainNetwork | None:
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
        inputs = classifier.normalize(images)
        with torch.inference_mode():
            difference = networks.difference(network(inputs), classifier.network(inputs))
    except Exception:  # the code of a user's plug-in may raise any error
        return None
    return found if difference <= networks.TOLERANCE else None
