from __future__ import annotations

import numpy as np

from hpo.importance import encoding
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from tests.importance.histories import SPACE


def test_a_hyperparameter_that_is_not_active_is_told_from_all_values() -> None:
    rows = encoding.encode(SPACE, [{"a": 0.0, "b": 1.0, "kind": "x", "m": 1e-3}, {"a": 0.5, "b": 0.0, "kind": "z"}])
    assert rows.tolist() == [[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 2.0, encoding.INACTIVE]]


def test_conditions_hold_for_random_configurations() -> None:
    drawn = encoding.deactivated(SPACE, encoding.sample(SPACE, 200, seed=0))
    inactive = drawn[:, 3] == encoding.INACTIVE
    assert np.array_equal(inactive, drawn[:, 2] != 0)
    assert 0 < inactive.mean() < 1


def test_a_condition_on_a_conditional_hyperparameter_follows_it() -> None:
    domains: dict[str, Domain] = {
        "p": Categorical(("on", "off")),
        "q": Categorical(("on", "off"), when={"p": ("on",)}),
        "r": Float(0, 1, when={"q": ("on",)}),
    }
    space = SearchSpace("chain", domains, Fidelity(3))
    drawn = encoding.deactivated(space, encoding.sample(space, 200, seed=0))
    assert np.all(drawn[drawn[:, 0] == 1][:, 1:] == encoding.INACTIVE)


def test_choices_have_columns_of_their_own() -> None:
    rows = encoding.rows(SPACE, np.array([[0.1, 0.2, 1.0, encoding.INACTIVE]]))
    assert rows.tolist() == [[0.1, 0.2, 0, 1, 0, encoding.INACTIVE]]


def test_a_grid_holds_values_of_the_space() -> None:
    for domain in (Int(1, 5), Int(1, 1000, log=True), Float(0, 1, step=0.25), Float(1e-4, 1, log=True)):
        values, places = encoding.grid(domain)
        assert all(domain.contains(value) for value in values)
        assert 0 <= places[0] < places[-1] <= 1
        assert sorted(set(places)) == places
