"""The rules that a new space must keep: numbers in their ranges, no hyperparameter without effect, enough epochs.

A study of an earlier version, whose space breaks one of them, can still be resumed: only a space that is about to be
searched is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpo.plugins.effects import without_effect
from hpo.plugins.epoch_rules import broken_rules
from hpo.plugins.given_settings import GivenSettings
from hpo.plugins.number_problems import number_problems
from hpo.plugins.task_plugins import of_task
from hpo.space import Fidelity, SearchSpace
from hpo.space.activity import never_active_problems
from hpo.space.domains import Domain
from hpo.space.rules import Problem
from hpo.trial import Value


def rule_problems(
    task: Mapping[str, Any],
    domains: Mapping[str, Domain | None],
    fixed: Mapping[str, Value],
    fidelity: Fidelity | None,
) -> Iterator[Problem]:
    """The rules that the parts of a space break, so that it is refused.

    A domain or a fidelity is None if it has mistakes that are reported elsewhere. The rules of the fidelity are then
    not checked.
    """
    yield from never_active_problems({name: domain.when for name, domain in domains.items() if domain is not None})
    plugins = of_task(task, domains)
    yield from number_problems(plugins, domains, fixed)
    given = GivenSettings(domains, fixed)
    for found in without_effect(plugins, given):
        if found.is_mistake:
            yield found.place, found.reason
    for rule in () if fidelity is None else broken_rules(plugins, given, fidelity):
        if rule.is_mistake:
            yield rule.place, rule.text


def notices(space: SearchSpace) -> list[str]:
    """What the user of a space should know before it is searched, one line each."""
    plugins, given = of_task(vars(space.task), space.domains), GivenSettings(space.domains, space.fixed)
    found: list[Problem] = [
        *((each.place, each.reason) for each in without_effect(plugins, given) if not each.is_mistake),
        *((rule.place, rule.text) for rule in broken_rules(plugins, given, space.fidelity) if not rule.is_mistake),
    ]
    return [f"{'.'.join(place)}: {text}" for place, text in found]
