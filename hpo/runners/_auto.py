"""The runner that suits a space: what `--runner auto` stands for, found without torch."""

from __future__ import annotations

from hpo import plugins
from hpo.plugins.declarations import has_head_alone, has_linear_head, trains
from hpo.space import SearchSpace

AUTO = "auto"
"""The name that stands for the runner that suits."""


def runner_for(space: SearchSpace) -> str:
    """fused where each trial trains a head alone, on images as they are; else processes.

    UnknownName where the task names a regime or model that there is none of.
    """
    as_they_are = all(set(_values(space, key)) <= {"none"} for key in ("augmentation", "mixing"))
    regimes, models = (
        [plugins.module_name(package, str(name)) for name in _values(space, key)]
        for key, package in plugins.TASK_PACKAGES.items()
    )
    if not (regimes and models and as_they_are) or space.task.validation.folds is not None:
        return "processes"
    heads = all(has_head_alone(model, plugins.find) for model in models)
    parts = {trains(regime, plugins.find) for regime in regimes}
    is_linear = all(has_linear_head(model, plugins.find) for model in models)
    return "fused" if is_linear and parts <= ({"head", "all"} if heads else {"head"}) else "processes"


def _values(space: SearchSpace, key: str) -> list[object]:
    """All that a key of the task, or a hyperparameter, may be; none where nothing says so."""
    if key in space.domains:
        return list(getattr(space.domains[key], "choices", ()))
    value = getattr(space.task, key, None) if key in plugins.TASK_PACKAGES else space.fixed.get(key)
    return [] if value is None else [value]
