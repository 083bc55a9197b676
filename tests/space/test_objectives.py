"""The objectives of a space: their names, and the metrics that they stand for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpo.errors import SpaceError
from hpo.space import Fidelity, Float, SearchSpace

SPACE = SearchSpace("small", {"lr": Float(1e-4, 1e-1, log=True)}, Fidelity(9))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"objective": "accuracy"},
            "objective: 'accuracy' is unknown; did you mean 'val_error' (1 - val_accuracy)? (allowed: val_auroc",
        ),
        ({"objective": "val_f1"}, "objective: 'val_f1' is unknown; did you mean 'val_f1_error' (1 - val_f1)?"),
        ({"objective": len}, "objective: <built-in function len> is unknown"),
        (
            {"objective": "costs:"},
            "objective: 'costs:' is no function; a function of your own is named package.module:f",
        ),
        ({"objective": "a b:cost"}, "objective: 'a b:cost' is no function"),
        ({"objective": "m:error"}, "objective: 'm:error': its metric would be called val_error, which is another one"),
        ({"objective": "m:f1"}, "objective: 'm:f1': its metric would be called val_f1, which is another one"),
        ({"objective": "m:seeds"}, "objective: 'm:seeds': its metric would be called test_seeds, which is another one"),
    ],
    ids=str,
)
def test_an_objective_that_breaks_a_rule_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpaceError) as caught:
        replace(SPACE, **change)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["val_cost", "test_cost"])
def test_a_hyperparameter_cannot_have_the_name_of_the_metric_of_an_own_objective(name: str) -> None:
    with pytest.raises(SpaceError, match=f"space.{name}: is the name of a column of the result"):
        SearchSpace("s", {name: Float(0, 1)}, Fidelity(1), objective="costs:cost")


def test_the_metric_of_an_objective_is_its_own_name_or_that_of_the_function() -> None:
    assert SPACE.metric == SPACE.objective == "val_loss"
    assert replace(SPACE, objective="val_error").metric == "val_error"
    assert replace(SPACE, objective="my.costs:of_errors").metric == "val_of_errors"
    assert replace(SPACE, objective="/my costs/a.py:cost").metric == "val_cost"
