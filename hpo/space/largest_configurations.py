"""The configurations of a space that take most memory, as far as a space tells."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from hpo.space.domains import Categorical, Domain, Float, Int
from hpo.space.search_space import TASK_DOMAINS, SearchSpace
from hpo.space.values import is_number
from hpo.trial import Config, Value

LEAST = ("micro_batches",)
"""The hyperparameters whose lowest value takes most memory."""
LIGHT = ("none", "sgd", "nag", "bf16", "auto", "frozen")
"""Choices that take less memory than others of their hyperparameter."""


def largest_configurations(space: SearchSpace) -> list[Config]:
    """Return the configuration of each regime and model that takes most memory.

    A whole number has its highest value, such as the batch size and the size of images. Of choices it is the largest
    number, or else the last choice that is not LIGHT. A real number, such as a learning rate, has its lowest value.
    Which of two other choices takes more is not known before it is measured.
    """
    searched = [name for name in TASK_DOMAINS if name in space.domains]
    choices = [getattr(space.domains[name], "choices", ()) for name in searched]
    found: list[Config] = []
    for values in product(*choices):
        given = dict(zip(searched, values, strict=True))
        config = space.completed(given, lambda name: _largest(name, space.domains))
        if config not in found:  # a model that is not active with a regime is left out
            found.append(config)
    return found


def _largest(name: str, domains: Mapping[str, Domain]) -> Value:
    """The value of a hyperparameter that takes most memory."""
    domain = domains[name]
    if isinstance(domain, Categorical):
        return _largest_choice(name, domain.choices)
    assert isinstance(domain, Int | Float)
    return domain.high if isinstance(domain, Int) and name not in LEAST else domain.low


def _largest_choice(name: str, choices: tuple[Value, ...]) -> Value:
    sizes = [_size(choice) for choice in choices]
    numbers = [size for size in sizes if size is not None]
    if numbers and len(numbers) == len(choices):
        return choices[sizes.index(min(numbers) if name in LEAST else max(numbers))]
    heavy = [choice for choice in choices if choice is not None and choice is not False and choice not in LIGHT]
    return heavy[-1] if heavy else choices[-1]


def _size(choice: Value) -> float | None:
    """A number, or the sum of a list of numbers. None for any other choice."""
    if isinstance(choice, tuple):
        sizes = [_size(each) for each in choice]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None
    return float(choice) if is_number(choice) else None
