"""Checkpoints: a state in a file, written whole or not at all.

A process that is killed at any moment leaves the old checkpoint or the new one. There is no fsync: a
checkpoint outlives its process, but need not outlive a power cut, after which the trial starts again.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch

from trainables.store import atomic


class DamagedCheckpoint(Exception):
    """A checkpoint that is there and cannot be read; the message names the file."""


def write(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain Python values to `path`, in place of what was there."""
    whole = _whole(content)

    def save(temporary: Path) -> None:
        with open(temporary, "wb") as file:  # torch's own way of opening a name takes twice as long on the whole
            torch.save(whole, file)

    atomic.write(path, save)


def _whole(value: Any) -> Any:
    """The same content with a copy of each tensor that is part of a larger one, all of which torch would write."""
    if isinstance(value, torch.Tensor):
        return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value
    if type(value) is dict:
        return {key: _whole(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_whole(each) for each in value)
    return value


def read(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint, its tensors on the CPU; None where there is no file.

    A file that cannot be opened is an OSError; one that is cut short, altered or no checkpoint is damaged.
    """
    atomic.recover(path)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        try:
            # torch writes checksums into its archives, but does not look at them when it reads.
            altered = zipfile.ZipFile(file).testzip()
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise DamagedCheckpoint(f"the checkpoint {path} is damaged: {reason}") from error
    if altered is not None:
        raise DamagedCheckpoint(f"the checkpoint {path} is damaged: the checksum of {altered} is wrong")
    if not isinstance(content, dict):
        raise DamagedCheckpoint(f"the checkpoint {path} is damaged: it holds no dictionary")
    return content


def keep_best(path: Path, best_path: Path) -> None:
    """Make `best_path` a second name of the checkpoint at `path`: no second write, no second copy on disk.

    The next `write` to `path` replaces the name and leaves the content of `best_path` alone. Where
    the file system knows no hard links, the file is copied.
    """
    if best_path.exists() and best_path.samefile(path):
        return  # renaming one of two links to a file onto the other would do nothing, and leave both

    def link_or_copy(temporary: Path) -> None:
        temporary.unlink(missing_ok=True)  # a link that a killed process left: to copy into it would hit its file
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)

    atomic.write(best_path, link_or_copy)
