"""The results of a tested model for each held-out image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hpo.heldout.image_results import GROUPS, of_predictions
from hpo.space import Fidelity, Float, SearchSpace, Task
from tests.results import own_objectives

LABELS = torch.arange(60) % 3
PROBABILITIES = (
    (torch.randn(60, 3, generator=torch.Generator().manual_seed(0)) + 1.5 * torch.eye(3)[LABELS]).double().softmax(1)
)
PREDICTIONS = {"probabilities": PROBABILITIES, "labels": LABELS}


def space(objective: str) -> SearchSpace:
    return SearchSpace("s", {"x": Float(0, 1)}, Fidelity(2), Task("tests.toy"), objective=objective)


def results(function: str, *, factor: float = 1.0, groups: torch.Tensor | None = None) -> Any:
    """The results by a function of the user, whose metric on record is `factor` times that of the predictions."""
    metric = factor * float(getattr(own_objectives, function)(PROBABILITIES.log().float(), LABELS))
    metrics = {"accuracy": 0.7, function: metric}
    return of_predictions(PREDICTIONS, metrics, space(f"tests.results.own_objectives:{function}"), groups)


@pytest.mark.parametrize("groups", [None, LABELS])
def test_a_function_of_the_user_has_values_whose_mean_is_its_metric(groups: torch.Tensor | None) -> None:
    found = results("gain", groups=groups)
    expected = float(own_objectives.gain(PROBABILITIES.log().float(), LABELS))
    assert found["gain"].mean() == pytest.approx(expected, abs=1e-6)
    assert len(np.unique(found["gain"])) == (60 if groups is None else 3)


def test_the_groups_of_the_images_are_kept() -> None:
    assert results("gain", groups=LABELS)[GROUPS].tolist() == LABELS.tolist()
    assert GROUPS not in results("gain")


@pytest.mark.parametrize(("function", "factor"), [("size", 2.0), ("picky", 1.0)])
def test_a_function_that_cannot_be_computed_from_the_probabilities_has_no_values(function: str, factor: float) -> None:
    assert set(results(function, factor=factor)) == {"accuracy"}
