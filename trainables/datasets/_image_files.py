"""The images anywhere below a folder, and what is left out beside them.

A file with the suffix of an image format is an image: if it is broken, reading it raises an error. Any other file is an
image if its content is. Links are followed. No folder is listed twice, so no image is in two classes by a link to a
folder.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from trainables.data import decoding
from trainables.data.dataset import LeftOut
from trainables.errors import SetupError


def _suffixes(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


SUFFIXES = _suffixes(
    "apng avif avifs bmp dib gif heic heif hif ico j2k jfif jp2 jpe jpeg jpf jpg jpx mpo pbm pcx pgm png pnm ppm psd "
    "qoi sgi tga tif tiff webp"
)
"""The suffixes of images, which need not be opened to be known. Upper case is accepted as well."""
TEXT_SUFFIXES = _suffixes("cfg csv htm html ini ipynb json jsonl log md py rst tsv txt xml yaml yml")
"""The suffixes of notes and tables, which often lie beside images. They are not opened."""
RAW_SUFFIXES = _suffixes("3fr arw cr2 cr3 crw dng erf kdc mos mrw nef nrw orf pef raf raw rw2 sr2 srf x3f")
"""The suffixes of raw files of cameras. Pillow would read the small preview in some of them."""
SYSTEM_NAMES = frozenset(("@eadir", "__macosx", "desktop.ini", "ehthumbs.db", "icon\r", "thumbs.db"))
"""The names, in lower case, of what operating systems and servers put into folders, such as folders of thumbnails."""

HIDDEN = "hidden, or made by the operating system"
TEXT = "text files and tables"
BROKEN_LINK = "broken links"
REPEATED = "links to a folder that is listed already"
SPECIAL = "no regular files"
RAW = "raw files of cameras, which must be developed first"
UNKNOWN = "of no known image format"


class Found(NamedTuple):
    """The images below a folder, sorted by their paths, and what is left out."""

    images: list[Path]
    left_out: list[LeftOut]


def find_images(folders: Sequence[Path]) -> list[Found]:
    """Find all images in each of the folders of classes, and in the folders below it.

    Raises SetupError if a folder cannot be listed, or if one of `folders` is a link to images of another.
    """
    found = [Found([], []) for _ in folders]
    # A link upwards must not bring in the images of the other classes.
    parents = [
        {_identity(parent) for parent in {*folder.absolute().parents, *folder.resolve().parents}} for folder in folders
    ]
    listed: dict[tuple[int, int], Path] = {}
    real, links = deque[tuple[int, Path]](), deque[tuple[int, Path]]()
    for i, folder in enumerate(folders):
        (links if folder.is_symlink() else real).append((i, folder))
    while real or links:
        # Links come last, so that an image is found by its own path and not by that of a link.
        i, current = real.popleft() if real else links.popleft()
        identity = _identity(current)
        if identity in listed or identity in parents[i]:
            if current == folders[i]:
                raise _linked_class(current, listed.get(identity))
            found[i].left_out.append(LeftOut(current, REPEATED))
            continue
        listed[identity] = folders[i]
        for path in list_folder(current):
            kind = classify(path)
            if isinstance(kind, LeftOut):
                found[i].left_out.append(kind)
            elif kind == "image":
                found[i].images.append(path)
            else:
                (links if path.is_symlink() else real).append((i, path))
    for each in found:
        each.images.sort(key=str)
        each.left_out.sort(key=lambda left_out: str(left_out.path))
    return found


def _linked_class(folder: Path, owner: Path | None) -> SetupError:
    """Return the error for the folder of a class whose images are those of `owner`, or those of a folder above it."""
    whose = "a folder above it" if owner is None else f"{owner}, which has its images already"
    return SetupError(f"{folder}: is a link to {whose}; remove the link, or give this class images of its own")


def list_folder(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted by name. Raises SetupError if the folder cannot be listed."""
    return _scan(folder, lambda entry: True)


def list_subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without hidden ones and those of the operating system.

    No other file is looked at. Raises SetupError if the folder cannot be listed.
    """
    return _scan(folder, lambda entry: not _is_hidden(entry.name) and _is_folder(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def _scan(folder: Path, is_wanted: Callable[[os.DirEntry[str]], bool]) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [folder / name for name in sorted(entry.name for entry in entries if is_wanted(entry))]
    except OSError as error:
        raise SetupError(f"{folder}: cannot be listed ({error.strerror}); give the right to read it") from error


def classify(path: Path) -> LeftOut | Literal["image", "folder"]:
    """Tell whether a path is an image or a folder to be listed, or why it is left out."""
    suffix = path.suffix.lower()
    if _is_hidden(path.name):
        return LeftOut(path, HIDDEN, may_matter=False)
    try:
        mode = path.stat().st_mode
    except OSError:
        return LeftOut(path, BROKEN_LINK)
    if stat.S_ISDIR(mode):
        return "folder"
    if not stat.S_ISREG(mode):
        return LeftOut(path, SPECIAL)
    if suffix in SUFFIXES:
        return "image"
    if suffix in TEXT_SUFFIXES:
        return LeftOut(path, TEXT, may_matter=False)
    if suffix in RAW_SUFFIXES:
        return LeftOut(path, RAW)
    try:
        return "image" if decoding.is_image(path) else LeftOut(path, UNKNOWN)
    except OSError:  # it cannot be opened, so it may be an image: reading it says why
        return "image"


def _identity(folder: Path) -> tuple[int, int]:
    """The number of a folder's device and its number on it, which all links to the folder share."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino
