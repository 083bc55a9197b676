"""Trained models to write, and the images that they are checked on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hpo import plugins
from tests.trainables.models.contract import move_vectors
from trainables.data.dataset import Part
from trainables.data.images import ImageFormat
from trainables.inference import FinalModel, Predictor, model_folder
from trainables.trainable import TransferModel

CLASSES = ("ant", "bee", "cat")


def final_model(
    name: str = "small_cnn",
    shape: tuple[int, int, int] = (3, 16, 16),
    config: dict[str, Any] | None = None,
    classes: tuple[str, ...] = CLASSES,
    resize: str = "crop",
) -> FinalModel:
    """An untrained model of this name, whose normalization and statistics are not the usual ones."""
    torch.manual_seed(0)
    plug_in, chosen = plugins.load("trainables.models", name), config or {}
    model: TransferModel = plug_in.build(chosen, shape=shape, n_classes=len(classes), weights="none")
    move_vectors(model)
    model.normalize([0.4] * shape[0], [0.3] * shape[0])
    images = torch.randint(0, 256, (5, *shape), dtype=torch.uint8)
    part = Part(images, torch.arange(5) % len(classes))
    image_format = ImageFormat(shape[1] if shape[1] == shape[2] else None, shape[0], resize)
    return FinalModel(model, name, plug_in, chosen, classes, image_format, part)


def write(folder: Path, final: FinalModel | None = None, **options: Any) -> str | None:
    """Write a model folder, and return the note about it."""
    arguments: dict[str, Any] = {"temperature": 1.5, "about": {"study": {"name": "s"}}, "check": check} | options
    return model_folder.write(folder, final or final_model(), **arguments)


def check(folder: Path, images: torch.Tensor) -> torch.Tensor:
    return load(folder).image_logits(images)


def load(folder: Path) -> Predictor:
    return Predictor(folder, plugins.load)


def pictures(folder: Path, sizes: Sequence[tuple[int, int]] = ((40, 30), (25, 61), (16, 16))) -> list[Path]:
    """Image files of some sizes: in colour as JPEG and PNG, and grey as PNG."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for width, height in sizes:
        colours = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for name, image in (("colour.jpg", colours), ("colour.png", colours), ("grey.png", colours.convert("L"))):
            paths.append(folder / f"{width}x{height} {name}")
            image.save(paths[-1])
    return paths
