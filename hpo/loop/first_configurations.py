"""The configurations that a search tries first: the defaults of the space, and those that the user gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpo.backends._backend import Backend, TakesConfigurations
from hpo.errors import SpaceError, UserError
from hpo.record import Settings
from hpo.space import SearchSpace
from hpo.space.given_values import with_defaults
from hpo.trial import Config


def with_first_configurations(space: SearchSpace, settings: Settings) -> Settings:
    """The settings with all configurations that the search tries first, checked and complete, each of them once.

    If the space has defaults, they come first. Raises UserError if a given configuration does not lie in the space.
    """
    default = [with_defaults(space, {})] if space.defaults else []
    given = [_checked(space, config, number) for number, config in enumerate(settings.try_first, start=1)]
    return replace(settings, try_first=without_repeats([*default, *given]))


def without_repeats(configs: Sequence[Config]) -> tuple[Config, ...]:
    """The configurations in their order, each once: 1 and true are different values, 1 and 1.0 are equal."""
    return tuple({repr(sorted(config.items())): config for config in configs}.values())


def enqueue_first(backend: Backend, space: SearchSpace, settings: Settings) -> None:
    """Tell a new backend the configurations that it tries first, those of an earlier study last.

    A backend that takes none is not told of the defaults. Raises UserError if the user gave other configurations.
    """
    source = settings.from_study
    first = without_repeats([*settings.try_first, *(() if source is None else source.first)])
    if isinstance(backend, TakesConfigurations):
        for config in first:
            backend.enqueue(config)
    elif any(config != with_defaults(space, {}) for config in first):
        raise UserError(f"backend {settings.backend!r} cannot try given configurations: it has no method `enqueue`")


def _checked(space: SearchSpace, config: Mapping[str, object], number: int) -> Config:
    try:
        return with_defaults(space, config)
    except SpaceError as error:
        raise UserError(f"configuration {number} to try first: {error}") from None
