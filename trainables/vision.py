"""The import of torchvision. All other modules get torchvision from here.

torchvision's C++ library does not load if it was built for another torch, for example for a GPU while the installed
torch is for the CPU. The models, data sets and transforms do not need the library, but `import torchvision` fails
because two operators of the library are missing. Declaring these operators makes the import work. They are declared
only after an import has failed, because the declaration would clash with a library that loads.

The import takes seconds. So call these functions inside functions, never while a module is imported.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import torch

from trainables.errors import SetupError

_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[torch.library.Library] = []
"""The Library objects of the declarations. A declaration is undone when its Library is deleted."""


def torchvision() -> ModuleType:
    """Import and return the package torchvision. A SetupError if it is not installed.

    Afterwards, other packages such as timm can import torchvision themselves.
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
    _libraries.append(library)
    return importlib.import_module("torchvision")


def models() -> ModuleType:
    """Return the module torchvision.models."""
    return _submodule("models")


def datasets() -> ModuleType:
    """Return the module torchvision.datasets."""
    return _submodule("datasets")


def transforms() -> ModuleType:
    """Return the module torchvision.transforms.v2."""
    return _submodule("transforms.v2")


def _submodule(name: str) -> ModuleType:
    torchvision()
    return importlib.import_module(f"torchvision.{name}")
