"""Weights files: reads the content of a file of torch.save or of safetensors.

The first bytes of a file decide which format it has, not its suffix.
"""

from __future__ import annotations

import argparse
import importlib
import pathlib
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from trainables.errors import SetupError, reason

SAFETENSORS = ".safetensors"
TORCH_STARTS = (b"PK\x03\x04", b"\x80")
"""The first bytes of a file of torch.save: those of a zip archive, or, before torch 1.6, of a pickle."""
SAVE_ALONE = "save the state dict of the model alone"
N_SHOWN = 3
"""The number of classes that an error names."""


def read(path: Path) -> Any:
    """Read the content of a file to the CPU. No code of the file is run.

    Beside tensors and plain Python values, a file of torch.save may hold command-line arguments, paths and NumPy
    numbers, because the checkpoints of many training scripts do. Raises SetupError if the file cannot be read, or if
    it holds objects of other classes.
    """
    try:
        if _has_safetensors_format(path):
            return safetensors(path).load_file(path)
        # An open file, because torch.load decides by the suffix of a path.
        with path.open("rb") as file, torch.serialization.safe_globals(_harmless()):
            return torch.load(file, map_location="cpu", weights_only=True)
    except SetupError:
        raise
    except pickle.UnpicklingError as error:
        raise SetupError(f"`weights`: {path} {_unreadable(path)}") from error
    except Exception as error:  # for a damaged file, the readers raise all kinds of errors
        if "TorchScript" in str(error):
            message = f"`weights`: {path} is a TorchScript program, which has code beside its weights: {SAVE_ALONE}"
            raise SetupError(message) from error
        why = reason(error) if isinstance(error, OSError) else "it is damaged, or no file of torch.save or safetensors"
        raise SetupError(f"`weights`: {path} cannot be read, get the file again: {why}") from error


def is_safetensors_name(path: Path) -> bool:
    """Whether the suffix of a path is that of safetensors, in upper or lower case."""
    return path.suffix.lower() == SAFETENSORS


def save_safetensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write tensors as a file of safetensors. Raises OSError if that fails, SetupError without that package."""
    package = safetensors(path)
    path.touch()
    mode = path.stat().st_mode
    package.save_file(tensors, path)
    path.chmod(mode)  # safetensors gives only the owner the right to read it


def safetensors(path: Path) -> ModuleType:
    """Import safetensors. A SetupError if it is not installed; `path` is the file that needs it."""
    try:
        return importlib.import_module("safetensors.torch")
    except ModuleNotFoundError as error:
        raise SetupError(f"`weights`: {path} needs the package safetensors: pip install safetensors") from error


def _has_safetensors_format(path: Path) -> bool:
    """Whether a file has the safetensors format: the length of its header in 8 bytes, then the header, a JSON object.

    A file that begins like neither format has the format of its suffix.
    """
    with path.open("rb") as file:
        start = file.read(9)
    is_header = start[8:] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size - 8
    return is_header or (is_safetensors_name(path) and not start.startswith(TORCH_STARTS))


def _harmless() -> list[Any]:
    """Classes that many checkpoints hold. To build objects of them does nothing else."""
    multiarray = importlib.import_module("numpy._core.multiarray")
    numbers = [type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64", "bool")]
    paths = [pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath]
    # numpy._core was named numpy.core before NumPy 2.
    scalars = [multiarray.scalar, (multiarray.scalar, "numpy.core.multiarray.scalar")]
    return [argparse.Namespace, *paths, np.dtype, *numbers, *scalars]


def _unreadable(path: Path) -> str:
    """Say why a file of torch.save cannot be read without running its code, and what to do."""
    try:
        with path.open("rb") as file, torch.serialization.safe_globals(_harmless()):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except Exception:  # it only reads sound files of torch 1.6 and later
        names = []
    if not names:
        return f"is damaged, or holds more than tensors: {SAVE_ALONE}"
    more = f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else ""
    return f"holds more than tensors: {SAVE_ALONE} (the file needs code: {', '.join(names[:N_SHOWN])}{more})"
