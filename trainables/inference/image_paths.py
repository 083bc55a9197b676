"""The image files that paths name: files as they are, and all images below folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from trainables.data.dataset import LeftOut
from trainables.datasets._image_files import find_images
from trainables.errors import SetupError


class ImagePaths(NamedTuple):
    """The files that are images, and what lies beside them in the folders and may have been meant to be an image."""

    images: list[Path]
    left_out: list[LeftOut]


def find(paths: Iterable[Path]) -> ImagePaths:
    """Return the files among `paths` in their order, and for a folder the images in it and below it, sorted by path.

    In a folder, files are told apart as by the data set `image_folder`. A file that is named itself counts as an image
    in any case. An image that several paths name is returned once.

    Raises SetupError if a path does not exist, or if a folder cannot be listed. All missing paths are named.
    """
    paths = list(paths)
    if missing := [path for path in paths if not path.exists()]:
        raise SetupError("\n".join(f"{path}: does not exist" for path in missing))
    images: dict[Path, None] = {}
    left_out = []
    for path in paths:
        if path.is_dir():
            (found,) = find_images([path])
            images |= dict.fromkeys(found.images)
            left_out += [each for each in found.left_out if each.may_matter]
        else:
            images[path] = None
    return ImagePaths(list(images), left_out)
