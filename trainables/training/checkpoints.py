"""Checkpoints: files that hold the state of a training. They are written atomically and checked when they are read.

If the process is killed while it writes, the file holds either the old checkpoint or the new one. The files are not
synchronised to the disk (no fsync). So a checkpoint may be lost in a power failure. The trial then starts again.
"""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from trainables.store import atomic


class DamagedCheckpoint(Exception):
    """A checkpoint that exists but cannot be read. The message names the file."""


def write(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain Python values to `path`. An existing file is replaced.

    Raises OSError if the file cannot be written.
    """
    write_encoded(path, encode(content))


def encode(content: dict[str, Any]) -> bytes:
    """Return the content of a checkpoint file, which holds tensors and plain Python values."""
    # Torch would write to the file from C++ code, which turns some errors of the disk, and Ctrl-C, into other errors,
    # and ignores others. So it writes to memory.
    buffer = io.BytesIO()
    torch.save(_copy_views(content), buffer)
    return buffer.getvalue()


def write_encoded(path: Path, encoded: bytes) -> None:
    """Write a checkpoint that `encode` returned to `path`. An existing file is replaced.

    Raises OSError if the file cannot be written.
    """

    def save(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            file.write(encoded)

    atomic.write(path, save)


def move(source: Path, path: Path) -> None:
    """Make the file `source`, in the same folder, the checkpoint `path`. Raises OSError if that fails."""
    atomic.write(path, lambda temporary: os.replace(source, temporary))


def _copy_views(value: Any) -> Any:
    """Return the same content, with a copy of each tensor that is a view of a larger tensor.

    Without the copy, torch.save writes the whole larger tensor.
    """
    if isinstance(value, torch.Tensor):
        return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value
    if type(value) is dict:
        return {key: _copy_views(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copy_views(item) for item in value)
    return value


def read(path: Path, *, recover: bool = True) -> dict[str, Any] | None:
    """Return the content of a checkpoint, with all tensors on the CPU. Returns None if there is no file.

    With `recover`, a write that was interrupted by a kill is completed first. Without it, nothing on disk changes, so a
    training may write the file at the same time.

    Raises OSError if the file cannot be opened, and DamagedCheckpoint if it is incomplete, altered or no checkpoint.
    """
    if recover:
        atomic.recover(path)
    else:
        atomic.wait_for_writer(path)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        return _decoded(file, str(path))


def decode(encoded: bytes, name: str) -> dict[str, Any]:
    """Return the content of a checkpoint that `encode` returned, with all tensors on the CPU.

    Raises DamagedCheckpoint, which names the checkpoint by `name`, if it is incomplete, altered or no checkpoint.
    """
    return _decoded(io.BytesIO(encoded), name)


def _decoded(file: BinaryIO, name: str) -> dict[str, Any]:
    try:
        # torch.load does not verify the checksums that torch.save writes, so this does.
        altered = zipfile.ZipFile(file).testzip()
        file.seek(0)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DamagedCheckpoint(f"the checkpoint {name} is damaged: {reason}") from error
    if altered is not None:
        raise DamagedCheckpoint(f"the checkpoint {name} is damaged: the checksum of {altered} is wrong")
    if not isinstance(content, dict):
        raise DamagedCheckpoint(f"the checkpoint {name} is damaged: it holds no dictionary")
    return content


def keep_best(path: Path, best_path: Path) -> None:
    """Make `best_path` a hard link to the checkpoint at `path`, so that nothing is written or stored twice.

    The next `write` to `path` creates a new file, so the content of `best_path` stays the same. If the file system does
    not support hard links, the file is copied.
    """
    if best_path.exists() and best_path.samefile(path):
        return  # a rename between two links to the same file does nothing, so the temporary link would stay

    def link_or_copy(temporary: Path) -> None:
        # A killed process may have left a link here. Copying into it would overwrite the file that it links to.
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)

    atomic.write(best_path, link_or_copy)
