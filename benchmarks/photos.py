"""A part of Caltech-101 on disk, as each side of a comparison wants it: links to the real files."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from trainables.data.dataset import Files
from trainables.datasets import caltech101
from trainables.errors import SetupError

WHOLE = 5784
"""Images of the training part by the lists train.txt and test.txt that go with the data set."""

MISSING = "not measured: caltech101 and weights/resnet18.pth are needed, in --data DIR or $HPO_DATA"


@dataclass(frozen=True)
class Photos:
    """Images laid out under a folder.

    For hpo it is a folder of data sets: caltech101 with its lists, and the weights. For all others it holds
    the folders train and validation, half of the images each, with a folder a class.
    """

    root: Path
    images: int
    classes: int


def data_root(given: str | None) -> Path:
    """The folder of data sets: as given, else $HPO_DATA, else that of hpo."""
    return Path(os.path.expanduser(given or os.environ.get("HPO_DATA") or "~/.cache/hpo")).absolute()


def folder(given: str | None) -> Path | None:
    """The folder of data sets: as given, else $HPO_DATA; None where the images or ResNet-18's weights are not in it."""
    root = data_root(given)
    there = (root / "weights" / "resnet18.pth").is_file() and (root / "caltech101" / caltech101.IMAGES).is_dir()
    return root if there else None


def lay_out(data: Path, root: Path, n: int) -> Photos:
    """Link `n` training images of the data set in the folder `data` under `root`, of each class as many.

    At least four images a class, so `n` below 404 takes the first classes alone.
    """
    training = caltech101.build(data).training()
    if not isinstance(training, Files):
        raise SetupError(f"{data}: the images are no files")
    by_class: dict[int, list[Path]] = defaultdict(list)
    for path, label in zip(training.paths, training.labels.tolist(), strict=True):
        by_class[label].append(path)
    chosen = [by_class[label] for label in sorted(by_class)][: max(2, n // 4)]
    # hpo wants a held-out list, which no search reads: the last image of each class stands in it.
    held_out = [paths.pop() for paths in chosen]
    in_turn = [path for path in chain.from_iterable(zip_longest(*chosen)) if path is not None][:n]
    _for_hpo(data, root, in_turn, held_out)
    _for_others(root, in_turn)
    return Photos(root, len(in_turn), len(chosen))


def _for_hpo(data: Path, root: Path, training: list[Path], held_out: list[Path]) -> None:
    home = root / caltech101.NAME
    home.mkdir(parents=True)
    (home / caltech101.IMAGES).symlink_to(data / caltech101.NAME / caltech101.IMAGES)
    (root / "weights").symlink_to(data / "weights")
    for name, paths in zip(caltech101.LISTS, (training, held_out), strict=True):
        (home / name).write_text("".join(f"{path.parent.name}/{path.name}\n" for path in paths))


def _for_others(root: Path, paths: list[Path]) -> None:
    counts: dict[str, int] = defaultdict(int)
    for path in paths:
        name = path.parent.name
        link = root / ("validation" if counts[name] % 2 else "train") / name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
        counts[name] += 1
