"""Configurations that a user gives: checked against the space, in the values of the space, and with its defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hpo.errors import SpaceError, nearest
from hpo.space.domains import Categorical, Domain, Int, domain_to_dict
from hpo.space.search_space import SearchSpace
from hpo.space.values import (
    comparison_key,
    format_value,
    is_number,
    is_one_of,
    list_as_text,
    number_problem,
    value_problem,
    with_tuples,
)
from hpo.trial import Config, Value


def with_defaults(space: SearchSpace, given: Mapping[str, object]) -> Config:
    """The given values as values of the space, and the defaults of the other hyperparameters.

    The configuration may be partial: hyperparameters without a default may be missing, and a default may belong to a
    hyperparameter that turns out not to be active. Given values that equal those that the space fixes are left out.

    Raises SpaceError, with one line for each value that is wrong.
    """
    problems: list[str] = []
    searched: dict[str, Value] = {}
    for name, value in ((name, with_tuples(value)) for name, value in given.items()):
        domain = space.domains.get(name)
        if (problem := _value_problem(domain, value)) is not None:
            problems.append(f"{name}: {problem}")
        elif domain is None:
            problems += _constant_problems(space, name, value)
        elif domain.contains(own := own_value(domain, value)):
            searched[name] = own
        else:
            problems.append(f"{name}: {format_value(value)} is not in {_allowed(domain, value)}")
    problems += _condition_problems(space, searched) if not problems else ()
    if problems:
        raise SpaceError("\n".join(problems))
    both = {**space.defaults, **searched}
    return {name: both[name] for name in space.domains if name in both and _parents_allow(space, name, both)}


def _value_problem(domain: Domain | None, value: Value) -> str | None:
    """Why a value is not finite, or is too large a number for a range. Returns None if it is neither."""
    if is_number(value) and not isinstance(domain, Categorical):
        return number_problem(value, whole=False)
    return value_problem(value)


def own_value(domain: Domain, value: Value) -> Value:
    """The value of the domain that equals `value`, in its own type: 16.0 becomes 16. Other values stay as they are."""
    if isinstance(domain, Categorical):
        return domain.value_at(domain.index_of(value)) if domain.contains(value) else value
    if not is_number(value):
        return value
    if isinstance(domain, Int):
        return int(value) if value == round(value) else value
    stepped = domain.value_at(domain.index_of(value))
    is_rounding = domain.step is not None and abs(stepped - value) < 1e-9 * domain.step
    return stepped if is_rounding else float(value)


def _constant_problems(space: SearchSpace, name: str, value: Value) -> Iterator[str]:
    """The problem of a value of a hyperparameter that is not searched. There is none if the space has this value."""
    constants = {**space.fixed, "regime": space.task.regime, "model": space.task.model}
    if constants.get(name) is None:
        yield f"unknown hyperparameter {name!r}{nearest(name, space.domains)}"
    elif comparison_key(constants[name]) != comparison_key(value):
        yield f"{name}: is not searched, but always {format_value(constants[name])}"


def _allowed(domain: Domain, value: Value) -> str:
    """A domain in words, with the value in it that is most similar to `value`."""
    content = domain_to_dict(domain)
    if isinstance(domain, Categorical):
        return f"the choices{nearest(str(value), [str(list_as_text(choice)) for choice in domain.choices])}"
    words = f"the range {format_value({key: content[key] for key in ('low', 'high', 'step') if key in content})}"
    if not is_number(value):
        return words
    clipped = min(max(value, domain.low), domain.high)
    if domain.step is not None or isinstance(domain, Int):
        clipped = domain.value_at(domain.index_of(clipped))
    return f"{words}; the nearest is {format_value(clipped)}"


def _condition_problems(space: SearchSpace, given: Config) -> Iterator[str]:
    """The problems of given hyperparameters that are not active, or that are active only with a value not given."""
    both = {**space.defaults, **given}
    for name in given:
        for parent, allowed in space.domains[name].when.items():
            needed = f"it is active only with {parent} out of {format_value(allowed)}"
            if parent not in both:
                yield f"{name}: {needed}; give {parent} too"
            elif not is_one_of(both[parent], allowed):
                by_default = "" if parent in given else f" by default; give {parent} too"
                yield f"{name}: {needed}, but {parent} is {format_value(both[parent])}{by_default}"


def _parents_allow(space: SearchSpace, name: str, config: Config) -> bool:
    """Whether the values of the parents, where they are known, let a hyperparameter be active."""
    conditions = space.domains[name].when.items()
    return all(parent not in config or is_one_of(config[parent], allowed) for parent, allowed in conditions)
