"""Splits a network of timm into named stages.

All children before the first group of blocks are the stage "stem". Each group of blocks is a stage with its name in
timm. All children after the last group are the stage "last".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from torch import nn

WHOLE = "network"
"""The name of the only stage of a network that is not split."""


class _Group(NamedTuple):
    """The parts of a network that become one stage."""

    children: list[tuple[str, nn.Module]]
    """Each with its name in timm, in order."""
    is_sequence: bool
    """Whether the stage is a sequence of them. If not, it is the only child itself."""


def split(network: nn.Module) -> dict[str, nn.Module]:
    """Group the children of a network into stages. Applied in order, they may compute something else than the network.

    The only stage is the network itself if it has no groups of blocks.
    """
    stages = {
        name: nn.Sequential(*(child for _, child in children)) if is_sequence else children[0][1]
        for name, (children, is_sequence) in _groups(network).items()
    }
    return stages or {WHOLE: network}


def names(network: nn.Module, stages: Collection[str]) -> dict[str, str]:
    """Return how the keys of these stages begin in a TransferModel, and how they begin in the network."""
    if list(stages) == [WHOLE]:
        return {f"stages.{WHOLE}.": ""}
    found = {}
    for stage, (children, is_sequence) in _groups(network).items():
        for i, (name, _) in enumerate(children):
            inside = f"{i}." if is_sequence else ""
            found[f"stages.{stage}.{inside}"] = f"{name}."
    return found


def _groups(network: nn.Module) -> dict[str, _Group]:
    """The children of each stage. Empty if the network has no groups of blocks."""
    # The modules whose outputs timm offers as features, such as "layer1", or "stages.0" for a child of "stages".
    feature_modules = {info["module"] for info in getattr(network, "feature_info", None) or ()}
    containers = {name.partition(".")[0] for name in feature_modules if "." in name}
    groups: dict[str, _Group] = {}
    pending: list[tuple[str, nn.Module]] = []
    for name, module in _children(network, containers):
        is_group = (name in feature_modules or "." in name) and _has_layers(module)
        if is_group and not groups and pending:
            groups["stem"], pending = _Group(pending, is_sequence=True), []
        pending.append((name, module))
        if is_group:
            groups[name.replace(".", "_")] = _Group(pending, is_sequence=len(pending) > 1)
            pending = []
    if groups and pending:
        groups["last"] = _Group(pending, is_sequence=True)
    return groups


def _children(network: nn.Module, containers: set[str]) -> Iterator[tuple[str, nn.Module]]:
    """The children of a network with their names. A container is replaced by its own children."""
    for name, module in network.named_children():
        if name in containers and isinstance(module, nn.Sequential):
            yield from ((f"{name}.{child_name}", child) for child_name, child in module.named_children())
        else:
            yield name, module


def _has_layers(module: nn.Module) -> bool:
    """Whether a child of the module has weights."""
    return any(True for child in module.children() for _ in child.parameters())
