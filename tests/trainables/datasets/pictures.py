"""Small pictures of noise, no two alike, in the folders where a data set looks for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trainables.data.dataset import Files

FLOWERS = {"rose": 15, "daisy": 20}
"""The number of pictures of each class of a small data set."""


def picture(number: int, size: tuple[int, int] = (12, 10)) -> Image.Image:
    """The picture of a number, (width, height) as in `size`."""
    width, height = size
    noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def folders(folder: Path, counts: Mapping[str, int], *, suffix: str = ".jpg", first: int = 0) -> int:
    """Write so many pictures into a sub-folder a class, numbered from `first` on; the number after the last."""
    number = first
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            picture(number).save(folder / name / f"image_{number:04d}{suffix}")
            number += 1
    return number


def files(*paths: Path, labels: Sequence[int] = ()) -> Files:
    """The files with their labels, or with the label 0 each."""
    return Files(paths, torch.tensor(list(labels) or [0] * len(paths)))


def saved(folder: Path, *images: Image.Image, labels: Sequence[int] = ()) -> Files:
    """The images as files that lose nothing."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    return files(*paths, labels=labels)


def broken(folder: Path) -> dict[str, Path]:
    """Files that are no image, each for another reason."""
    folder.mkdir(exist_ok=True)
    for suffix in ("jpg", "png"):
        picture(0, (256, 256)).save(folder / f"whole.{suffix}")
    jpeg, png = (folder / "whole.jpg").read_bytes(), (folder / "whole.png").read_bytes()
    second = png.index(b"IDAT", png.index(b"IDAT") + 4)
    content = {
        "empty.jpg": b"",
        "text.jpg": b"no image",
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "chunk.png": png[:second] + b"????" + png[second + 4 :],
    }
    for name, found in content.items():
        (folder / name).write_bytes(found)
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(folder / "real.tif")
    return {name: folder / name for name in [*content, "real.tif", "missing.jpg"]}
