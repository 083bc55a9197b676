"""State dicts on disk: reading one, loading it into a model with checks, and saving one.

A file that ends in .safetensors has the safetensors format. Any other file (.pth, .pt) has the format of torch.save.
"""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from trainables.errors import SetupError, reason
from trainables.store import atomic

SAFETENSORS = ".safetensors"


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


def read(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict at `path` to the CPU. Floating-point tensors become float32.

    If all keys begin with "module.", as in a model that was wrapped in DataParallel, this prefix is removed. Raises
    SetupError if the file is missing or cannot be read, or if it holds anything but a dict of named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise SetupError(f"`weights` must be none, imagenet or the path of a state dict, but is {str(path)!r}: no file")
    status = path.stat()
    return {key: value.clone() for key, value in _read_cached(path, status.st_size, status.st_mtime_ns).items()}


@lru_cache(maxsize=2)
def _read_cached(path: Path, size: int, mtime_ns: int) -> dict[str, Tensor]:
    """The state dict of a file. It is cached, because all trials of a process start from the same file.

    `size` and `mtime_ns` are part of the cache key, so a file that changed is read again.
    """
    try:
        if path.suffix == SAFETENSORS:
            content = _safetensors(path).load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SetupError:
        raise
    except pickle.UnpicklingError as error:
        message = f"`weights`: {path} is damaged, or holds more than tensors: save the state dict of the model alone"
        raise SetupError(message) from error
    except Exception as error:  # for a damaged file, the readers raise all kinds of errors
        raise SetupError(f"`weights`: {path} cannot be read, get the file again: {reason(error)}") from error
    state = _check_state_dict(content, path)
    prefix = "module." if all(key.startswith("module.") for key in state) else ""
    return {key.removeprefix(prefix): _as_float32(value) for key, value in state.items()}


def load_into(network: nn.Module, path: str | Path, *, head: str | tuple[str, ...], model: str) -> None:
    """Load the weights at `path` into a network, except those of the last layer: keys that begin with `head`.

    The head of a network on the meta device stays on the meta device. If the file does not fit, a SetupError names the
    file, the model and the first key that is missing, unexpected or of another shape.
    """
    own = {key: value for key, value in network.state_dict().items() if not key.startswith(head)}
    given = {key: value for key, value in read(path).items() if not key.startswith(head)}
    for key in own.keys() - given.keys():
        if key.endswith(".num_batches_tracked"):  # many files lack it; only BatchNorm with momentum=None uses it
            given[key] = torch.zeros((), dtype=torch.int64)
    for key in [*own, *given]:
        if difference := _difference(key, own.get(key), given.get(key)):
            raise SetupError(
                f"`weights`: {path} holds weights of another model than {model}: {difference}; "
                f"give a state dict of {model}, or none"
            )
    network.load_state_dict(given, strict=False, assign=next(iter(network.parameters())).is_meta)


def save(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict to `path` atomically, and create missing folders. Raises OSError if writing fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}
    write = _safetensors(path).save_file if path.suffix == SAFETENSORS else torch.save
    atomic.write(path, lambda temporary: write(tensors, temporary))


def _check_state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """Return the content of a file. A SetupError if it is not a dict of named tensors."""
    if not isinstance(content, dict) or not content:
        raise SetupError(f"`weights`: {path} holds no state dict, but {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise SetupError(
                f"`weights`: {path} holds no state dict: {key!r} is {type(value).__name__}, not a tensor; "
                "save the state dict of the model alone"
            )
    return content


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


def _safetensors(path: Path) -> ModuleType:
    try:
        return importlib.import_module("safetensors.torch")
    except ModuleNotFoundError as error:
        raise SetupError(f"`weights`: {path} needs the package safetensors: pip install safetensors") from error
