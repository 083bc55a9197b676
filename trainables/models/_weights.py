"""State dicts on disk: reading one, loading it into a model with checks, and saving one.

A file that is saved has the safetensors format if its suffix is .safetensors, else the format of torch.save.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainables.errors import SetupError
from trainables.models import _state_dicts, _weights_files
from trainables.models._state_dicts import Shapes, StateDict
from trainables.store import atomic

logger = logging.getLogger(__name__)
"""Says what was done with a weights file to load it."""
N_BATCHES = ".num_batches_tracked"
"""The end of the keys that many files lack. Only a BatchNorm with momentum=None uses these tensors."""


def refuse(weights: str, model: str) -> None:
    """Raise SetupError unless `weights` is "none". Models without pretrained weights call this."""
    if weights != "none":
        raise SetupError(f"{model} has no pretrained weights: `weights` must be none, but is {weights!r}")


def find(file_name: str, folder: Path, model: str) -> Path:
    """Return the path of a model's ImageNet weights in `folder`. If it is missing, a SetupError says how to get it."""
    path = folder / file_name
    if not path.is_file():
        raise SetupError(
            f"`weights`: the ImageNet weights of {model} are not there: put the state dict at {path}, "
            f"or download it by: hpo fetch --model {model}"
        )
    return path


def read(path: str | Path, shapes: Shapes | None = None) -> dict[str, Tensor]:
    """Read the state dict at `path` to the CPU. Floating-point tensors become float32.

    If the file holds several, it is the one that fits a network with tensors of these `shapes` best. Names of wrappers
    in front of the keys are removed. Raises SetupError if the file is missing or cannot be read, or if it holds no
    named tensors.
    """
    return _read(path, shapes or {}).tensors


class Fit(NamedTuple):
    """The weights of a file for a network."""

    state: dict[str, Tensor]
    """The tensors of the file without those of the last layer."""
    difference: str
    """How they differ from those of the network: the first key that is missing, unexpected or of another shape.

    Empty if they fit.
    """
    changes: tuple[str, ...]
    """What was done to read them, in words."""


def fit(network: nn.Module, path: str | Path, *, head: str | tuple[str, ...]) -> Fit:
    """Read the weights at `path` for a network, except those of the last layer: keys that begin with `head`.

    Raises the errors of `read`.
    """
    own = {key: value for key, value in network.state_dict().items() if not key.startswith(head)}
    shapes = {key: value.shape for key, value in own.items() if not key.endswith(N_BATCHES)}
    tensors, changes = _read(path, shapes)
    given = {key: value for key, value in tensors.items() if not key.startswith(head)}
    for key in own.keys() - given.keys():
        if key.endswith(N_BATCHES):
            given[key] = torch.zeros((), dtype=torch.int64)
    differences = (_difference(key, own.get(key), given.get(key)) for key in [*own, *given])
    return Fit(given, next(filter(None, differences), ""), changes)


def load_into(network: nn.Module, path: str | Path, *, head: str | tuple[str, ...], model: str) -> None:
    """Load the weights at `path` into a network, except those of the last layer: keys that begin with `head`.

    The head of a network on the meta device stays on the meta device. If the file holds more than a state dict, or if
    its keys have a prefix, a warning of the logger says what was used. If the file does not fit, a SetupError names the
    file, the model and the first key that is missing, unexpected or of another shape.
    """
    found = fit(network, path, head=head)
    if found.difference:
        raise misfit(path, found, model)
    say(path, found.changes)
    network.load_state_dict(found.state, strict=False, assign=next(iter(network.parameters())).is_meta)


def misfit(path: str | Path, found: Fit, model: str) -> SetupError:
    """Return the error for weights that do not fit `model`."""
    read = f" ({'; '.join(found.changes)})" if found.changes else ""
    return SetupError(
        f"`weights`: {path} holds weights of another model than {model}: {found.difference}{read}; "
        f"give a state dict of {model}, or none"
    )


def say(path: str | Path, changes: tuple[str, ...]) -> None:
    """Log what was done with a weights file to load it, if anything was."""
    if changes:
        logger.warning("`weights`: %s: %s", path, "; ".join(changes))


def save(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict to `path` atomically, and create missing folders. Raises OSError if writing fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}
    write = _weights_files.save_safetensors if _weights_files.is_safetensors_name(path) else torch.save
    atomic.write(path, lambda temporary: write(tensors, temporary))


def _read(path: str | Path, shapes: Shapes) -> StateDict:
    """The state dict at `path` that fits a network with tensors of `shapes`. Its tensors are copies."""
    path = Path(path)
    if not path.is_file():
        raise SetupError(f"`weights` must be none, imagenet or the path of a state dict, but is {str(path)!r}: no file")
    status = path.stat()
    found = _read_cached(path, status.st_size, status.st_mtime_ns, tuple(shapes.items()))
    return StateDict({key: value.clone() for key, value in found.tensors.items()}, found.changes)


@lru_cache(maxsize=2)
def _read_cached(path: Path, size: int, mtime_ns: int, shapes: tuple[tuple[str, torch.Size], ...]) -> StateDict:
    """The state dict of a file. It is cached, because all trials of a process start from the same file.

    `size` and `mtime_ns` are part of the cache key, so a file that changed is read again.
    """
    found = _state_dicts.find(_weights_files.read(path), dict(shapes), path)
    return StateDict({key: _as_float32(value) for key, value in found.tensors.items()}, found.changes)


def _as_float32(tensor: Tensor) -> Tensor:
    """Convert a floating-point tensor to float32.

    Filters of convolutions get the memory format `channels_last`, because models train in it.
    """
    tensor = tensor.detach()
    memory_format = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous(memory_format=memory_format)


def _difference(key: str, own: Tensor | None, given: Tensor | None) -> str:
    """Describe how the tensors of the model and of the file differ: one is missing, or the shapes differ.

    Returns "" if they do not differ.
    """
    if given is None:
        return f"it has no {key!r}"
    if own is None:
        return f"it has {key!r}, which the model has not"
    if own.shape != given.shape:
        return f"{key!r} is {tuple(given.shape)}, but in the model {tuple(own.shape)}"
    return ""
