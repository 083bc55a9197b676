"""The spaces of a fit: the bundled curated spaces, with the data, the models and the objective of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo import spacefile
from hpo.fit.request import FitRequest
from hpo.fit.time_plan import FineTuning
from hpo.space import SearchSpace

PROBE, FINE_TUNE = "auto_probe", "auto_fine_tune"
"""The names of the bundled spaces, which are also those of the two searches."""


def probe_space(request: FitRequest, models: Sequence[str]) -> SearchSpace:
    """Return the space of classifiers on the features of `models`."""
    return _space(PROBE, request, {"model": list(models)})


def fine_tune_space(request: FitRequest, model: str, plan: FineTuning) -> SearchSpace:
    """Return the space of fine-tuned trainings of `model`."""
    fidelity = {"low": 1, "high": plan.epochs, "eta": 3}
    fixed = {"image_size": plan.image_size}
    return _space(FINE_TUNE, request, {"model": model}, fixed=fixed, fidelity=fidelity)


def _space(
    name: str,
    request: FitRequest,
    task: Mapping[str, Any],
    *,
    fixed: Mapping[str, Any] | None = None,
    fidelity: Mapping[str, Any] | None = None,
) -> SearchSpace:
    """Return a bundled space with some keys of its `task`, `fixed` and `fidelity` replaced."""
    content = spacefile.read(spacefile.bundled()[name]).to_dict()
    dataset = {"name": request.dataset.name, **request.dataset.options}
    content["task"] = {**content["task"], "dataset": dataset, **task}
    content["fixed"] = {**content.get("fixed", {}), **(fixed or {})}
    content["fidelity"] = {**content["fidelity"], **(fidelity or {})}
    content["objective"] = request.objective
    return spacefile.parse(content, name=name)
