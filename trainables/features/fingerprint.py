"""Fingerprints of frozen stages, which are keys of the feature cache: hashes of their code, attributes and weights.

The code and the attributes are described as lines of text: the name and the class of each submodule, with the version
of its package or a hash of its source file, and the values of its attributes. Two modules with the same description and
equal tensors compute the same output in evaluation mode. Dropout and drop path do nothing in this mode, so their rates
are left out.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from trainables.trainable import TransferModel

MAX_HASHED_BYTES = 2**28
"""The largest size of weights that are kept with their hash, on their device. They are kept for two models."""
PACKAGES = ("torch", "torchvision", "timm")
"""Packages whose classes are identified by the version of the package. Other classes are identified by their source."""
MODULE_ATTRIBUTES = {*vars(nn.Module()), "training"}
"""Attributes that every module has. They are left out, and so is the mode: features are computed in evaluation mode."""
PLAIN_TYPES = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, slice, range)
"""Types whose `repr` describes a value completely."""


def of_stages(model: TransferModel, n_stages: int) -> str:
    """Return a hash of everything that the features after the first stages depend on, except the images.

    The hashes of the last two models are cached with their weights, because comparing weights is faster than hashing
    them.
    """
    description: list[str] = []
    tensors: list[Tensor] = [model.mean, model.std]
    for name in list(model.stages)[:n_stages]:
        stage = model.stages[name]
        description += describe(stage)
        for key, value in [*stage.named_parameters(), *stage.named_buffers()]:
            description.append(key)
            tensors.append(value.detach())
    for i, cached in enumerate(_recent_hashes):
        if cached.matches(description, tensors):
            del _recent_hashes[i]
            _recent_hashes.appendleft(cached)
            return cached.digest
    digest = hashlib.sha256("\n".join(description).encode())  # fast, as processors have instructions for SHA-256
    for value in tensors:
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    if sum(value.nbytes for value in tensors) <= MAX_HASHED_BYTES:
        _recent_hashes.appendleft(_HashedStages(description, [value.clone() for value in tensors], digest.hexdigest()))
    return digest.hexdigest()


class _HashedStages(NamedTuple):
    """Stages whose hash has been computed."""

    description: list[str]
    tensors: list[Tensor]
    digest: str

    def matches(self, description: list[str], tensors: list[Tensor]) -> bool:
        return self.description == description and all(
            one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
            for one, other in zip(self.tensors, tensors, strict=True)
        )


_recent_hashes: deque[_HashedStages] = deque(maxlen=2)


def describe(module: nn.Module) -> list[str]:
    """Return the lines that describe a module's code and attributes in evaluation mode.

    Attributes that cannot be described, such as lambdas, are given by their address, which is valid only in this
    process.
    """
    named = module.named_modules(remove_duplicate=False)
    return [f"{name}: {line}" for name, each in named for line in _lines(each)]


def is_reproducible(module: nn.Module) -> bool:
    """Return whether a module can be described completely, so that other processes get the same description."""
    return not any(_UNKNOWN in line for line in describe(module))


_UNKNOWN = "<unknown at "
"""Begins the description of what cannot be described."""


def _lines(module: nn.Module) -> Iterator[str]:
    """Yield the lines about one module without its submodules."""
    module_class: Any = type(module)
    if isinstance(module, nn.modules.dropout._DropoutNd) or module_class.__qualname__ == "DropPath":
        module, module_class = nn.Identity(), nn.Identity
    yield _describe_source(module_class)
    if isinstance(module, fx.GraphModule):  # its other attributes follow from its code
        yield module.code
        yield from (f"{each} {getattr(sys.modules.get(each), '__version__', '')}" for each in PACKAGES)
        return
    for key, value in sorted(vars(module).items()):
        if key not in MODULE_ATTRIBUTES:
            yield f"{key}={_describe_value(value)}"


def _describe_value(value: object) -> str:
    if isinstance(value, PLAIN_TYPES):
        return repr(value)
    if isinstance(value, list | tuple | set | frozenset):
        items = [_describe_value(item) for item in value]
        return f"{type(value).__name__}({', '.join(sorted(items) if isinstance(value, set | frozenset) else items)})"
    if isinstance(value, Mapping):
        items = [f"{_describe_value(key)}: {_describe_value(item)}" for key, item in value.items()]
        return f"mapping({', '.join(items)})"
    if isinstance(value, type):
        return _describe_source(value)
    is_named_function = isinstance(value, FunctionType | BuiltinFunctionType) and "<" not in value.__qualname__
    if is_named_function and not getattr(value, "__closure__", None):
        return _describe_source(value)
    return f"{_UNKNOWN}{id(value)}>"


@lru_cache(maxsize=1000)
def _describe_source(named: Any) -> str:
    """Return the name of a class or function with the version of its package, or with a hash of its source file."""
    name, package = f"{named.__module__}.{named.__qualname__}", str(named.__module__).partition(".")[0]
    if package in PACKAGES:
        return f"{name} {getattr(sys.modules.get(package), '__version__', '')}"
    try:
        path = inspect.getsourcefile(named)
        if path is not None:
            return f"{name} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    except (TypeError, OSError):
        pass
    return f"{name} {_UNKNOWN}{id(named)}>"
