"""PACS: photographs, art paintings, cartoons and sketches of 7 kinds of objects. Each of these domains is a data set.

D. Li, Y. Yang, Y.-Z. Song, T. M. Hospedales: "Deeper, Broader and Artier Domain Generalization" (2017). Colour images
of 227 x 227 pixels: 2,048 art paintings, 2,344 cartoons, 1,670 photographs, 3,929 sketches.

    pacs/cartoon/dog/pic_001.jpg

A tenth of each class is held out, with a seed that never changes. For example, 236 cartoons are held out and 2,108 are
left. The variant few_shot swaps the two parts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.data.file_sets import hold_out
from trainables.datasets._folders import dataset_folder, list_images
from trainables.errors import SetupError

OPTIONS = {
    "domain": ["art_painting", "cartoon", "photo", "sketch"],
    "variant": ["full", "few_shot"],
}
HELD_OUT = 0.1
HELD_OUT_SEED = 0
"""Never change it: with another split, earlier test results could not be compared with new ones."""


def build(root: Path | None, *, domain: str | None = None, variant: str | None = None) -> DataSet:
    """Return the images in the folder pacs/<domain> of `root`. They are not read yet. The default variant is full.

    Raises SetupError if an option is wrong, or if files are missing.
    """
    _check_option("domain", domain)
    variant = "full" if variant is None else variant
    _check_option("variant", variant)
    folder = dataset_folder(root, f"pacs/{domain}", "the images of PACS, a folder a class (get them from its authors)")
    full = hold_out(list_images(folder).as_training(f"pacs {domain}"), fraction=HELD_OUT, seed=HELD_OUT_SEED)
    if variant == "full":
        return full
    assert full.files_held_out is not None, "a share is held out"
    return replace(full, name=f"{full.name} {variant}", files=full.files_held_out, files_held_out=full.files)


def _check_option(option: str, value: str | None) -> None:
    if value not in OPTIONS[option]:
        raise SetupError(f"`dataset.{option}` must be one of {', '.join(OPTIONS[option])}, but is {value!r}")
