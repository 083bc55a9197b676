"""JPEG files that cost as much to decode as photos: random colours, smooth with some noise. They need no data set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.report import cores

N_CLASSES = 10
PARTS = ("train", "validation")
SIZE = (400, 300)
"""Width and height in pixels."""


def write(root: Path, n: int) -> Path:
    """Write `n` images under `root`, in the folders `train` and `validation`, with a folder for each class.

    Each part gets half of them. Each class of a part gets at least two, so there are at most `n` / 4 classes.
    """
    n_classes = min(N_CLASSES, n // (2 * len(PARTS)))
    paths = [root / part / f"class {i % n_classes}" / f"{i}.jpg" for part in PARTS for i in range(n // len(PARTS))]
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True)
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(_write, paths, range(len(paths))))
    return root


def _write(path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    colours = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    pixels = np.asarray(colours.resize(SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
    noisy = pixels + generator.normal(0, 8, pixels.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
