"""Where torchvision is imported: all that needs it asks here.

torchvision's C++ library does not load where it was built for another torch, such as one for a GPU
beside a torch for the CPU. Its models, data sets and transforms need none of it, but the import fails
for two operators that are then unknown. To declare them is enough; where the library loads, declaring
them would clash with it.

The import takes seconds: call these functions where something is built, not where a module is imported.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import torch

from trainables.errors import SetupError

_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []
"""A declaration ends with its Library, so they are kept."""


def torchvision() -> ModuleType:
    """The package itself; whatever imports it on its own (timm does) may do so from now on.

    A SetupError where it is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise SetupError("the package torchvision is not installed: pip install 'hpo[train]'") from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _OPERATORS:
        library.define(operator + _SCHEMA)  # type: ignore[no-untyped-call]
    _declared.append(library)
    return importlib.import_module("torchvision")


def models() -> ModuleType:
    """torchvision.models."""
    return _part("models")


def datasets() -> ModuleType:
    """torchvision.datasets."""
    return _part("datasets")


def transforms() -> ModuleType:
    """torchvision.transforms.v2."""
    return _part("transforms.v2")


def _part(name: str) -> ModuleType:
    torchvision()
    return importlib.import_module(f"torchvision.{name}")
