"""The optimizers of timm, named `timm:NAME` with a name from `timm.optim.list_optimizers()`.

timm is an optional dependency. It is imported only when one of its optimizers is used.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from trainables import vision
from trainables.errors import SetupError, WrongValue, reason
from trainables.hyperparameters import FROM_0_BELOW_1, Config, read_float

PREFIX = "timm:"
"""What the names of these optimizers begin with in a configuration."""


def build(name: str, parameters: Sequence[Any], config: Config, *, lr: float, weight_decay: float) -> Optimizer:
    """Return the optimizer `name` of timm, without the prefix, for parameters or parameter groups.

    `momentum` in `config` applies to those that have it, by default 0.9. All other settings are timm's defaults. Raises
    WrongValue, with similar names, if timm has no such optimizer, and for one that is refused. Raises SetupError if
    timm is not installed.
    """
    optim = _timm_optim()
    if (why := _refusal(optim, name)) is not None:
        raise WrongValue(f"`optimizer` must not be {PREFIX + name!r}: {why}")
    momentum = read_float(config, "momentum", 0.9, FROM_0_BELOW_1)
    try:
        optimizer: Optimizer = optim.create_optimizer_v2(
            parameters, name, lr=lr, weight_decay=weight_decay, momentum=momentum
        )
    except ValueError as error:  # such as a momentum of 0 for one with Nesterov momentum
        raise WrongValue(f"`optimizer`: {PREFIX}{name} cannot be used with these settings: {reason(error)}") from error
    return optimizer


def _refusal(optim: Any, name: str) -> str | None:
    """Say why an optimizer cannot be used, or None if it can. Raises WrongValue if timm has none of this name."""
    known = optim.list_optimizers()
    if name not in known:
        near = [PREFIX + each for each in difflib.get_close_matches(name, known)]
        nearest = f"nearest: {', '.join(near)}; " if near else ""
        listing = f"`timm.optim.list_optimizers()` lists all {len(known)}"
        raise WrongValue(f"`optimizer`: timm has no optimizer {name!r} ({nearest}{listing})")
    info = optim.get_optimizer_info(name)
    if info.second_order:
        return "it needs second derivatives, from a second pass through the network"
    if isinstance(info.opt_class, str):
        return f"it needs the package {info.opt_class.partition('.')[0]}, and a training with it may not resume exactly"
    if info.opt_class.__name__ == "Kron":
        return "it compiles code at the first step of each process, which takes longer than many trainings"
    return None


def _timm_optim() -> Any:
    vision.torchvision()  # timm imports torchvision; this makes the import work even if its C++ library does not load
    try:
        importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        message = "`optimizer`: the optimizers of timm need the package timm: pip install 'hpo[timm]'"
        raise SetupError(message, keys=("optimizer",)) from error
    return importlib.import_module("timm.optim")
