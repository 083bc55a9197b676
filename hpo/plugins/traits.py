"""What a plug-in says of itself: literals that tell the rest of hpo how its trials train, so nothing knows it by name.

They are read as the hyperparameters are, see `declarations.py`: the module is parsed and never imported. Each function
raises UserError if the literal has another form, or if the source is not valid Python.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpo.errors import UserError
from hpo.plugins.declarations import Find, literal


def pretrains(module: str, find: Find) -> bool:
    """Whether a regime declares `PRETRAINING = True`: it first trains on the data set `pretraining` of the task."""
    return _flag(module, "PRETRAINING", find)


def needs_weights(module: str, find: Find) -> bool:
    """Whether a regime declares `PRETRAINED = True`: it starts from pretrained weights."""
    return _flag(module, "PRETRAINED", find)


def is_averageable(module: str, find: Find) -> bool:
    """Whether a mean of the weights of several trials has a meaning.

    It has unless the regime declares `AVERAGEABLE = False`: its weights do not come from a common start.
    """
    return _flag(module, "AVERAGEABLE", find, default=True)


def is_deterministic(module: str, find: Find) -> bool:
    """Whether a regime declares `DETERMINISTIC = True`: it gives the same model with every seed."""
    return _flag(module, "DETERMINISTIC", find)


def is_data_parallel(module: str, find: Find) -> bool:
    """Whether a regime declares `DATA_PARALLEL = True`: several devices can train one trial together."""
    return _flag(module, "DATA_PARALLEL", find)


def trains(module: str, find: Find) -> str | None:
    """Which part of the model a regime trains in every epoch, as it declares in `TRAINS`: "head" or "all".

    Returns None if it declares nothing.
    """
    found, source = literal(module, "TRAINS", find)
    if found not in (None, "head", "all"):
        raise UserError(f'{source}: TRAINS must be "head" or "all"')
    part: str | None = found
    return part


def has_head_alone(module: str, find: Find) -> bool:
    """Whether a model declares `HEAD_ONLY = True`: only its head has weights."""
    return _flag(module, "HEAD_ONLY", find)


def has_linear_head(module: str, find: Find) -> bool:
    """Whether the head of a model consists of linear layers: unless the model declares `LINEAR_HEAD = False`."""
    return _flag(module, "LINEAR_HEAD", find, default=True)


def measures_slots(module: str, find: Find) -> bool:
    """Whether a runner declares `MEASURES_SLOTS = True`: with `slots: auto` it is measured how many trials fit at once.

    Each of its trials trains on this machine, in a process of its own.
    """
    return _flag(module, "MEASURES_SLOTS", find)


def plays_curves(module: str, find: Find) -> bool:
    """Whether a runner declares `PLAYS_CURVES = True`: it trains nothing, and `build` takes `curves`."""
    return _flag(module, "PLAYS_CURVES", find)


def requires(module: str, find: Find) -> str | None:
    """The package that a tracker needs, as it declares in `REQUIRES`. None if it declares none."""
    found, source = literal(module, "REQUIRES", find)
    if found is not None and not isinstance(found, str):
        raise UserError(f"{source}: REQUIRES must be the name of a package")
    return found


def places(module: str, find: Find) -> Mapping[str, str] | None:
    """What may be written after the name of a tracker and `=`, with its meaning, as its dictionary `WHERE` declares.

    None if it declares nothing.
    """
    found, source = literal(module, "WHERE", find)
    if found is not None and not (isinstance(found, dict) and all(isinstance(text, str) for text in found.values())):
        raise UserError(f"{source}: WHERE must be a dictionary of texts")
    return found


def _flag(module: str, name: str, find: Find, *, default: bool = False) -> bool:
    found, source = literal(module, name, find)
    if found is not None and not isinstance(found, bool):
        raise UserError(f"{source}: {name} must be True or False")
    return default if found is None else found
