"""Drop path of timm's networks: in training, a residual branch is left out for a share of the images.

Huang et al., "Deep networks with stochastic depth", 2016. The rate rises linearly over the blocks, as timm sets it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn

from trainables.errors import SetupError
from trainables.hyperparameters import FROM_0_BELOW_1, Config, read_float

HYPERPARAMETERS = {
    "drop_path": "rate of drop path (stochastic depth) in the last block, rising linearly from 0 in the first; "
    "0 to below 1; default that of the network in timm, mostly 0; only for networks that have it",
}
RANGES = {"drop_path": "0 <= float < 1"}


def rate(config: Config, name: str, create: Callable[..., nn.Module]) -> float | None:
    """Return the rate of drop path that the network `name` is built with, or None for its default.

    `create` is timm's `create_model`. Raises ValueError for a wrong `drop_path`, and SetupError if it is above 0 and
    the network has no drop path.
    """
    if config.get("drop_path") is None:
        return None
    found = read_float(config, "drop_path", 0.0, FROM_0_BELOW_1)
    if _has_drop_path(name, create):
        return found
    if found > 0:
        raise SetupError(
            f"`drop_path`: timm:{name} has no drop path: leave the key out, or set it to 0", keys=("drop_path",)
        )
    return None


@lru_cache
def _has_drop_path(name: str, create: Callable[..., nn.Module]) -> bool:
    """Whether a network has layers of drop path if timm builds it with a rate above 0."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        try:
            network = create(name, num_classes=0, drop_path_rate=0.5)
        except TypeError:  # the network takes no such argument
            return False
    return any(type(module).__name__ == "DropPath" for module in network.modules())
