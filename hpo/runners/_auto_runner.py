"""The choice of the runner for `--runner auto`. It is made without importing torch."""

from __future__ import annotations

from hpo import plugins
from hpo.plugins.traits import has_head_alone, has_linear_head, trains
from hpo.space import SearchSpace

AUTO = "auto"
"""The setting `runner` that asks for the runner that suits the search space."""


def runner_for(space: SearchSpace) -> str:
    """Return the name of the runner that suits a search space: "fused" or "processes".

    It is "fused" if every trial trains only a linear head without dropout, on images without augmentation, erasing and
    mixing, and the task has no folds. Raises UnknownName if the task names a regime or a model that does not exist.
    """
    images_never_change = not _erases(space) and all(
        set(_values(space, key)) <= {"none"} for key in ("augmentation", "mixing")
    )
    regimes, models = (
        [plugins.module_name(package, str(name)) for name in _values(space, key)]
        for key, package in plugins.TASK_PACKAGES.items()
    )
    has_dropout = "dropout" in space.domains or bool(space.fixed.get("dropout"))
    if not (regimes and models and images_never_change) or has_dropout or space.task.validation.folds is not None:
        return "processes"
    only_head_has_weights = all(has_head_alone(model, plugins.find) for model in models)
    trained_parts = {trains(regime, plugins.find) for regime in regimes}
    is_linear = all(has_linear_head(model, plugins.find) for model in models)
    allowed_parts = {"head", "all"} if only_head_has_weights else {"head"}
    return "fused" if is_linear and trained_parts <= allowed_parts else "processes"


def _erases(space: SearchSpace) -> bool:
    """Whether a trial may erase parts of images at random. A range of probabilities always holds some above 0."""
    given = space.domains.get("random_erasing", space.fixed.get("random_erasing"))
    return any(value not in (None, 0) for value in getattr(given, "choices", (given,)))


def _values(space: SearchSpace, key: str) -> list[object]:
    """All values that a key of the task, or a hyperparameter, may have. Empty if they are not listed."""
    if key in space.domains:
        return list(getattr(space.domains[key], "choices", ()))
    value = getattr(space.task, key, None) if key in plugins.TASK_PACKAGES else space.fixed.get(key)
    return [] if value is None else [value]
