"""The spaces of a fit: the bundled curated spaces, with the data, the models and the objective of the request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hpo import spacefile
from hpo.fit.request import FitRequest
from hpo.fit.time_plan import FineTuning
from hpo.space import SearchSpace

PROBE, FINE_TUNE = "auto_probe", "auto_fine_tune"
"""The names of the bundled spaces, which are also those of the two searches."""
STRONG_RECIPES = {"augmentation": "crop_flip", "mixing": "none"}
"""What is searched only in long trainings, and what short ones do instead."""
LONG_TRAINING = 15
"""From so many epochs on, a training is long."""


def probe_space(request: FitRequest, models: Sequence[str], precision: str = "fp32") -> SearchSpace:
    """Return the space of classifiers on the features of `models`, which are computed in `precision`."""
    return _space(PROBE, request, {"model": list(models)}, fixed={"precision": precision})


def fine_tune_space(request: FitRequest, model: str, plan: FineTuning, precision: str) -> SearchSpace:
    """Return the space of fine-tuned trainings of `model`.

    Stages that stay frozen are computed once, so the images of a training with such stages are not augmented. Then
    `crop_scale` would have no effect, and is left out.
    """
    fixed: dict[str, Any] = {"image_size": plan.image_size, "precision": precision}
    if plan.n_stages is not None:
        fixed |= {"n_stages": plan.n_stages, **STRONG_RECIPES, "augmentation": "none"}
    elif plan.epochs < LONG_TRAINING:
        fixed |= STRONG_RECIPES
    fidelity = {"low": 1 if plan.trials is None else plan.epochs, "high": plan.epochs}
    without = () if plan.n_stages is None else ("crop_scale",)
    return _space(FINE_TUNE, request, {"model": model}, fixed=fixed, fidelity=fidelity, without=without)


def _space(
    name: str,
    request: FitRequest,
    task: Mapping[str, Any],
    *,
    fixed: Mapping[str, Any],
    fidelity: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> SearchSpace:
    """Return a bundled space with some keys of its `task`, `fixed` and `fidelity` replaced.

    What is fixed is not searched. The hyperparameters `without` are neither fixed nor searched.
    """
    content = spacefile.read(spacefile.bundled()[name]).to_dict()
    dataset = {"name": request.dataset.name, **request.dataset.options}
    content["task"] = {**content["task"], "dataset": dataset, **task}
    searched, always = content["space"], {**content.get("fixed", {}), **fixed}
    content["space"] = {key: domain for key, domain in searched.items() if key not in {*fixed, *without}}
    content["fixed"] = {key: value for key, value in always.items() if key not in without}
    content["fidelity"] = {**content["fidelity"], **(fidelity or {})}
    content["objective"] = request.objective
    return spacefile.parse(content, name=name)
