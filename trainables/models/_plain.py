"""Plain networks: code that builds the network of a model without hpo, and the names that its weights have there.

A model folder is written with the weights of the plain network, so that it can be used without hpo.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from trainables.models._head_dropout import LinearWithDropout
from trainables.trainable import TransferModel

Value = TypeVar("Value")


@dataclass(frozen=True)
class PlainNetwork:
    """The network of a TransferModel in plain code, without the normalization of its images."""

    code: str
    """Lines of Python that import what they need and set `model` to the network, with random weights."""
    names: Mapping[str, str]
    """The names of weights: for each start of a key of the TransferModel, the start of the key in the plain network.

    If several starts match a key, the longest is taken. An empty text stands for no prefix.
    """
    package: str | None = None
    """The package that the code needs beside torch, such as torchvision."""

    def to_plain(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """Rename the state dict of the TransferModel to that of the plain network. Raises KeyError for another key."""
        return {self._plain_name(key): value for key, value in state.items()}

    def from_plain(self, state: Mapping[str, Value], keys: Iterable[str]) -> dict[str, Value]:
        """Rename the state dict of the plain network. `keys` are those of the TransferModel.

        Raises KeyError if the state dict lacks one of them.
        """
        return {key: state[self._plain_name(key)] for key in keys}

    def _plain_name(self, key: str) -> str:
        start = max((start for start in self.names if key.startswith(start)), key=len, default=None)
        if start is None:
            raise KeyError(key)
        return self.names[start] + key.removeprefix(start)


def layers(model: TransferModel) -> PlainNetwork | None:
    """Return the plain network of a model whose stages and head consist of torch's own layers, one after another.

    Returns None if a layer is of another class, or if its repr is not the call that builds it, because then this
    function cannot write its code.
    """
    names: dict[str, str] = {}
    lines: list[str] = []
    for prefix, layer in _layers(model):
        if (line := _code(layer)) is None:
            return None
        names[f"{prefix}."] = f"{len(lines)}."
        lines.append(f"    {line},\n")
    return PlainNetwork(f"from torch import nn\n\nmodel = nn.Sequential(\n{''.join(lines)})", names)


def _layers(model: TransferModel) -> Iterator[tuple[str, nn.Module]]:
    """The layers of the stages and of the head, in order, each with the start of its keys."""
    for name, stage in model.stages.items():
        yield from _leaves(f"stages.{name}", stage)
    yield from _leaves("head", model.head)


def _leaves(prefix: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is not nn.Sequential:
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from _leaves(f"{prefix}.{name}", child)


def _code(layer: nn.Module) -> str | None:
    """The call that builds a layer of torch: `nn.Linear(in_features=64, out_features=10)`.

    It is the repr of the layer without the arguments that have their default. None for another class, and for a repr
    that is not Python, such as `padding_mode=circular`.
    """
    if isinstance(layer, LinearWithDropout):  # the plain network has no dropout
        layer = nn.Linear(layer.in_features, layer.out_features, device="meta")
    known = getattr(nn, type(layer).__name__, None)
    if known is not type(layer) or list(layer.children()):
        return None
    try:
        call = ast.parse(repr(layer), mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        values = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError):
        return None
    defaults = {name: each.default for name, each in inspect.signature(known).parameters.items()}
    arguments = [ast.unparse(each) for each in call.args]
    for name, value in values.items():
        if not _is_default(value, defaults.get(str(name))):
            arguments.append(f"{name}={_short(value)!r}")
    return f"nn.{type(layer).__name__}({', '.join(arguments)})"


def _is_default(value: Any, default: Any) -> bool:
    return type(_short(value)) is type(default) and _short(value) == default


def _short(value: Any) -> Any:
    """A number instead of a pair of equal numbers, which torch's layers take as well."""
    return value[0] if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1] else value
