"""Weights on disk: state dicts, read, checked against a model, and written.

A file that ends in .safetensors is one of safetensors; any other (.pth, .pt) is one of torch.save.
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
    """A SetupError unless `weights` are "none": the model has no pretrained ones."""
    if weights != "none":
        raise SetupError(f"{model} has no pretrained weights: `weights` must be none, but is {weights!r}")


def find(file_name: str, folder: Path, model: str) -> Path:
    """The file of a model's ImageNet weights in the folder of all such; a SetupError says how to get it there."""
    path = folder / file_name
    if not path.is_file():
        raise SetupError(
            f"`weights`: the ImageNet weights of {model} are not there: put the state dict at {path}, "
            f"or download it by: hpo fetch --model {model}"
        )
    return path


def read(path: str | Path) -> dict[str, Tensor]:
    """The state dict at `path`, on the CPU, its real numbers as float32.

    A "module." before every key, which DataParallel puts there, is left out. A SetupError where there
    is no such file, where it cannot be read, or where it holds anything but tensors by name.
    """
    path = Path(path)
    if not path.is_file():
        raise SetupError(f"`weights` must be none, imagenet or the path of a state dict, but is {str(path)!r}: no file")
    status = path.stat()
    return {key: value.clone() for key, value in _kept(path, status.st_size, status.st_mtime_ns).items()}


@lru_cache(maxsize=2)
def _kept(path: Path, size: int, mtime_ns: int) -> dict[str, Tensor]:
    """The state dict of a file of this size and time: what all trials of a process begin with is read once."""
    try:
        if path.suffix == SAFETENSORS:
            content = _safetensors(path).load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SetupError:
        raise
    except pickle.UnpicklingError as error:
        words = f"`weights`: {path} is damaged, or holds more than tensors: save the state dict of the model alone"
        raise SetupError(words) from error
    except Exception as error:  # a damaged file makes its reader fail in any way
        raise SetupError(f"`weights`: {path} cannot be read, get the file again: {reason(error)}") from error
    state = _checked(content, path)
    prefix = "module." if all(key.startswith("module.") for key in state) else ""
    return {key.removeprefix(prefix): _plain(value) for key, value in state.items()}


def load_into(network: nn.Module, path: str | Path, *, head: str | tuple[str, ...], model: str) -> None:
    """Give a network the weights at `path`, all but those whose keys begin with `head`: the last layer's.

    A network on the meta device takes the tensors themselves, but for the head, which stays there. A
    SetupError names the file, the model and the first key that is missing, too many or of another shape.
    """
    own = {key: value for key, value in network.state_dict().items() if not key.startswith(head)}
    given = {key: value for key, value in read(path).items() if not key.startswith(head)}
    for key in own.keys() - given.keys():
        if key.endswith(".num_batches_tracked"):  # counted for one setting of BatchNorm, and often not saved
            given[key] = torch.zeros((), dtype=torch.int64)
    for key in [*own, *given]:
        if difference := _difference(key, own.get(key), given.get(key)):
            raise SetupError(
                f"`weights`: {path} holds weights of another model than {model}: {difference}; "
                f"give a state dict of {model}, or none"
            )
    network.load_state_dict(given, strict=False, assign=next(iter(network.parameters())).is_meta)


def save(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict to `path`, whole or not at all; folders that are missing are made. May raise OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}
    write = _safetensors(path).save_file if path.suffix == SAFETENSORS else torch.save
    atomic.write(path, lambda temporary: write(tensors, temporary))


def _checked(content: object, path: Path) -> dict[str, Tensor]:
    """The content of a file, which must be tensors by name."""
    if not isinstance(content, dict) or not content:
        raise SetupError(f"`weights`: {path} holds no state dict, but {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise SetupError(
                f"`weights`: {path} holds no state dict: {key!r} is {type(value).__name__}, not a tensor; "
                "save the state dict of the model alone"
            )
    return content


def _plain(tensor: Tensor) -> Tensor:
    """In float32 where it holds real numbers; the channels of a place of a filter together, as trainings have them."""
    tensor = tensor.detach()
    memory_format = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous(memory_format=memory_format)


def _difference(key: str, own: Tensor | None, given: Tensor | None) -> str:
    """How the tensors of a model and a file differ in form, in words; "" where they do not."""
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
