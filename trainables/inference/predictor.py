"""The Predictor: loads a model folder and classifies image files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from trainables.data import decoding
from trainables.errors import SetupError, reason
from trainables.inference import description, model_folder, networks
from trainables.inference.description import DESCRIPTION_FILE, ImageInput, ModelDescription
from trainables.inference.exports import Classifier
from trainables.inference.plain_lines import PROGRAM_FILE, WEIGHTS_FILE
from trainables.models import _weights_files
from trainables.store import atomic_folders
from trainables.threads import n_cores
from trainables.trainable import TransferModel

LoadPlugin = Callable[[str, str], Any]
"""Takes a package, such as `trainables.models`, and the name of a plug-in. Returns the plug-in's module."""


class Prediction(NamedTuple):
    """The most likely classes of one image, or the reason why it could not be read."""

    path: Path
    classes: tuple[str, ...]
    """The most likely first. Empty if the file could not be read."""
    probabilities: tuple[float, ...]
    """The probability of each of them."""
    error: str | None
    """Why the file could not be read as an image. None if it could."""


class Predictor:
    """The model of a model folder."""

    def __init__(
        self,
        folder: Path,
        load: LoadPlugin,
        device: str = "cpu",
        *,
        or_cpu: bool = False,
        batch_size: int = 64,
        n_read: int = 1024,
    ) -> None:
        """Load the model in `folder`. `load` returns the plug-in that builds its network.

        A program of torch.export runs on the CPU. With `or_cpu` it does so whatever `device` is; otherwise another
        device is an error. `batch_size` is the number of images that the network classifies at a time, and `n_read`
        that of images that are read into memory at a time.

        Raises SetupError if a file is missing, damaged or of another version, if the files do not belong together, or
        if a package that the network needs is not installed. Errors of `load` are passed on.
        """
        self._batch_size = batch_size
        self._n_read = n_read
        atomic_folders.recover(folder)
        self.description: ModelDescription = description.read(folder)
        self.device = torch.device(device)
        # A program of torch.export stays on the device that it was written on.
        if self.description.network.model is None and self.device.type != "cpu":
            if not or_cpu:
                raise SetupError(
                    f"{folder}: its model is a program of torch.export, which runs only on the CPU: "
                    f"use the device cpu, not {device}"
                )
            self.device = torch.device("cpu")
        self._classifier = _load_classifier(folder, self.description, load).to(self.device)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self.description.classes

    def image_logits(self, images: Tensor) -> Tensor:
        """Return the logits (n, n_classes) of images, uint8 (n, channels, height, width), on the CPU."""
        if isinstance(self._classifier, Classifier):  # convolutions of torch's own modules are faster in this format
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            n = self._batch_size
            batches = [images[start : start + n] for start in range(0, len(images), n)]
            return torch.cat([self._classifier(batch.to(self.device))[0].float().cpu() for batch in batches])

    def logits(self, paths: Sequence[Path]) -> tuple[Tensor, dict[int, str]]:
        """Return the logits of image files, (n, n_classes), and the reason for each index that could not be read.

        The logits of such a file are NaN.
        """
        rows = list(self._logits(paths))
        logits = torch.full((len(paths), len(self.classes)), torch.nan)
        for i, row in enumerate(rows):
            if isinstance(row, Tensor):
                logits[i] = row
        return logits, {i: row for i, row in enumerate(rows) if isinstance(row, str)}

    def predict(self, paths: Sequence[Path], top: int = 1) -> Iterator[Prediction]:
        """Classify image files, in order. Yields the `top` most likely classes of each, with their probabilities."""
        n_top = min(top, len(self.classes))
        for path, row in zip(paths, self._logits(paths), strict=True):
            if isinstance(row, str):
                yield Prediction(path, (), (), row)
                continue
            values, indices = (row.double() / self.description.temperature).softmax(dim=0).topk(n_top)
            yield Prediction(path, tuple(self.classes[i] for i in indices.tolist()), tuple(values.tolist()), None)

    def _logits(self, paths: Sequence[Path]) -> Iterator[Tensor | str]:
        """For each file its logits (n_classes,), or the reason why it could not be read."""
        for start in range(0, len(paths), self._n_read):
            block = paths[start : start + self._n_read]
            results = decoding.in_threads(partial(self._read, block), len(block), n_cores())
            pending: list[NDArray[np.uint8] | str] = []
            for result in results:
                pending.append(result)
                if len(pending) == self._batch_size:
                    yield from self._classify(pending)
                    pending = []
            yield from self._classify(pending)

    def _read(self, paths: Sequence[Path], i: int) -> NDArray[np.uint8] | str:
        try:
            return read_pixels(paths[i], self.description.image)
        except OSError as error:
            return reason(error).removesuffix(decoding.TRUNCATED_HINT)  # a model has its options already

    def _classify(self, read: Sequence[NDArray[np.uint8] | str]) -> Iterator[Tensor | str]:
        """The logits of images that were read, (channels, height, width) each. Reasons are handed on."""
        images = [each for each in read if not isinstance(each, str)]
        if images:
            logits = iter(self.image_logits(torch.from_numpy(np.stack(images))))
        for each in read:
            yield each if isinstance(each, str) else next(logits)


def read_pixels(path: Path, image: ImageInput) -> NDArray[np.uint8]:
    """Read an image file as the model needs it: uint8, (channels, height, width).

    Raises OSError if the file cannot be read as an image.
    """
    found = decoding.read(path, image.decoding)
    if image.height == image.width:
        found = decoding.resize_image(found, image.height, image.resize)
    else:
        found = found.resize((image.width, image.height), Image.Resampling.BILINEAR)
    if image.channels == 1:
        return np.array(found.convert("L"))[None]
    return np.array(found).transpose(2, 0, 1)


def _load_classifier(folder: Path, about: ModelDescription, load: LoadPlugin) -> nn.Module:
    """Load the model of a folder: a Classifier, or a program that returns the same."""
    name = about.network.model
    path = folder / (PROGRAM_FILE if name is None else WEIGHTS_FILE)
    _check_file(path, about)
    if name is None:
        classifier = networks.load_program(path)
    else:
        network = networks.network_of(_load_weights(path, about, load("trainables.models", name)))
        classifier = Classifier(network, about.image, about.temperature).eval()
    _check_classes(folder, classifier, about)
    return classifier


def _load_weights(path: Path, about: ModelDescription, plug_in: Any) -> TransferModel:
    """Build a model by its plug-in, and load the weights at `path`, which have the names of its plain network."""
    arguments: dict[str, Any] = {"shape": about.image.shape, "n_classes": len(about.classes)}
    with torch.random.fork_rng(devices=[]):
        try:
            model: TransferModel = plug_in.build(about.network.configuration, **arguments, weights="none")
            plain = plug_in.plain_network(about.network.configuration, model, **arguments)
            if plain is None:
                raise ValueError("no plain code builds a network of this configuration")
        except Exception as error:  # values of the file and code of a user's plug-in may raise any error
            raise SetupError(
                f"{path.with_name(DESCRIPTION_FILE)}: its network cannot be built: {reason(error)}"
            ) from error
    state = _weights_files.read(path)
    try:
        model.load_state_dict(plain.from_plain(state, model.state_dict()))
    except KeyError as error:
        raise SetupError(f"{path}: has no weights {error} of the network {about.network.model}") from error
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise SetupError(
            f"{path}: does not fit {DESCRIPTION_FILE}, whose `classes` names {len(about.classes)} classes: "
            f"{lines[-1].strip()}"
        ) from error
    return model


def _check_file(path: Path, about: ModelDescription) -> None:
    """Raise SetupError if the weights are missing or not those that `model.json` was written with."""
    try:
        found = model_folder.file_hash(path)
    except OSError as error:
        raise SetupError(f"{path}: cannot be read: {error.strerror}") from error
    if found != about.weights_hash:
        raise SetupError(
            f"{path}: is damaged, or does not belong to the {DESCRIPTION_FILE} beside it "
            "(its SHA-256 is not `weights_sha256`): copy the folder again"
        )


def _check_classes(folder: Path, classifier: nn.Module, about: ModelDescription) -> None:
    """Raise SetupError if the model cannot take its images, or gives another number of logits than classes."""
    try:
        with torch.inference_mode():
            shape = tuple(classifier(torch.zeros(2, *about.image.shape, dtype=torch.uint8))[0].shape)
    except Exception as error:  # modules that do not fit the image raise all kinds of errors
        message = f"{folder / DESCRIPTION_FILE}: the network cannot take images of {about.image.shape}"
        raise SetupError(f"{message} (channels, height, width): {reason(error)}") from error
    if shape != (2, len(about.classes)):
        raise SetupError(
            f"{folder / DESCRIPTION_FILE}: `classes` names {len(about.classes)} classes, but the network gives "
            f"{shape[-1]} numbers"
        )
