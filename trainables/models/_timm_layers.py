"""The layers of a network of timm, for learning rates that fall with depth, and its weights without weight decay.

The layers are those of timm's own `param_groups_layer_decay`, which come from the `group_matcher` of the network.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import NamedTuple

from torch import Tensor, nn

from trainables.models import _timm_stages
from trainables.models._plain import PlainNetwork
from trainables.trainable import HEAD


class Layers(NamedTuple):
    """What a TransferModel needs to know of the parameters of its stages, by their names there."""

    numbers: dict[str, int] | None
    """The layer number of each parameter, and that of the head as "head". None if the network declares no layers."""
    undecayed: frozenset[str]
    """The names of the parameters that the network declares to have no weight decay."""


def read(network: nn.Module, stages: Mapping[str, nn.Module], last_layers: Sequence[str]) -> Layers:
    """Read the layers of a network without its last layers, which was split into `stages`.

    `last_layers` are the prefixes of the keys of the layers that the head replaces.
    """
    own_names = [f"stages.{stage}.{name}" for stage, module in stages.items() for name, _ in module.named_parameters()]
    prefixes = _timm_stages.names(network, list(stages))
    by_timm_name = PlainNetwork("", prefixes).to_plain({name: name for name in own_names})
    declared: set[str] = getattr(network, "no_weight_decay", set)()
    undecayed = {own for name, own in by_timm_name.items() if any(fnmatch(name, pattern) for pattern in declared)}
    numbers = _numbers(network, f"{(*last_layers, 'head.')[0]}weight")
    if numbers is None:
        return Layers(None, frozenset(undecayed))
    own_numbers = {own: numbers[name] for name, own in by_timm_name.items() if name in numbers}
    return Layers({**own_numbers, HEAD: numbers[HEAD]}, frozenset(undecayed))


def _numbers(network: nn.Module, last_weight: str) -> dict[str, int] | None:
    """Return the layer number of each parameter by its name in timm, and that of the weight of the last layer as head.

    Returns None if the network has no `group_matcher`.
    """
    matcher = getattr(network, "group_matcher", None)
    if matcher is None:
        return None
    models = importlib.import_module("timm.models")
    found: dict[str, int] = models.group_parameters(
        _WithLastLayer(network, last_weight), matcher(coarse=False), reverse=True
    )
    return {**found, HEAD: found[last_weight]}


class _WithLastLayer:
    """The names of the parameters of a network and of its last layer, as timm asks for them."""

    def __init__(self, network: nn.Module, last_weight: str) -> None:
        self._network = network
        self._last_weight = last_weight

    def named_parameters(self) -> Iterator[tuple[str, Tensor | None]]:
        yield from self._network.named_parameters()
        yield self._last_weight, None
