"""PACS: photographs, art paintings, cartoons and sketches of 7 kinds of objects.

D. Li, Y. Yang, Y.-Z. Song, T. M. Hospedales: "Deeper, Broader and Artier Domain Generalization" (2017). 227 x 227
pixels, in colour: 2,048 art paintings, 2,344 cartoons, 1,670 photographs, 3,929 sketches. A domain is a data set.

    pacs/cartoon/dog/pic_001.jpg

A tenth of each class is held out, by a seed that is fixed for good: of the cartoons 236, which leaves 2,108. The
variant few_shot exchanges the two parts.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets._folders import FileSet, cut_off, inside, listed
from trainables.errors import SetupError

OPTIONS = {
    "domain": ["art_painting", "cartoon", "photo", "sketch"],
    "variant": ["full", "few_shot"],
}
HELD_OUT_SEED = 0
"""Fixed for good: another cut would make earlier test results incomparable."""


def build(root: Path | None, *, domain: str | None = None, variant: str | None = None) -> DataSet:
    """The images in the folder pacs/<domain> of `root`, not yet read; the full variant unless another is named.

    A SetupError names a wrong option, or says what is missing on disk.
    """
    _check("domain", domain)
    variant = "full" if variant is None else variant
    _check("variant", variant)
    folder = inside(root, f"pacs/{domain}", "the images of PACS, a folder a class (get them from its authors)")
    classes, files = listed(folder)
    n_held_out = sum((count + 5) // 10 for count in files.labels.bincount().tolist())
    full = cut_off(f"pacs {domain}", classes, files, n=n_held_out, seed=HELD_OUT_SEED)
    if variant == "full":
        return full
    return FileSet(f"{full.name} {variant}", classes, full.files_held_out, full.files)


def _check(option: str, value: str | None) -> None:
    if value not in OPTIONS[option]:
        raise SetupError(f"`dataset.{option}` must be one of {', '.join(OPTIONS[option])}, but is {value!r}")
