"""Grid search."""

import pytest

from hpo.backends import grid
from hpo.errors import UserError
from hpo.space import Categorical, Fidelity, Float, Int, SearchSpace
from hpo.trial import Config, Suggestion
from tests.backends.configurations_contract import ConfigurationsContract
from tests.backends.contract import SPACE, BackendContract, Build


class TestGrid(BackendContract, ConfigurationsContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: grid.build(space, seed=seed)


def configs(space: SearchSpace) -> list[Config]:
    answers = iter(grid.build(space, seed=0).ask, "done")
    return [answer.config for answer in answers if isinstance(answer, Suggestion)]


NESTED = SearchSpace(
    "nested",
    {
        "optimizer": Categorical(("sgd", "adam")),
        "momentum": Float(0.0, 0.9, points=2, when={"optimizer": ("sgd",)}),
        "nesterov": Categorical((True, False), when={"optimizer": ("sgd",)}),
        "dampening": Float(0.0, 0.1, points=2, when={"nesterov": (False,)}),
        "width": Int(1, 2, points=2),
    },
    Fidelity(1),
)


def test_an_inactive_hyperparameter_multiplies_nothing() -> None:
    found = configs(NESTED)
    sgd = [config for config in found if config["optimizer"] == "sgd"]
    assert len(sgd) == 2 * (1 + 2) * 2
    assert [config for config in found if config["optimizer"] == "adam"] == [
        {"optimizer": "adam", "width": 1},
        {"optimizer": "adam", "width": 2},
    ]


def test_no_combination_comes_twice() -> None:
    for space in (SPACE, NESTED):
        found = [repr(config) for config in configs(space)]
        assert len(set(found)) == len(found)


def test_the_last_hyperparameter_varies_fastest_and_the_seed_changes_nothing() -> None:
    assert [config["width"] for config in configs(NESTED)] == [1, 2] * 7
    one, other = grid.build(NESTED, seed=1), grid.build(NESTED, seed=2)
    assert [one.ask() for _ in range(14)] == [other.ask() for _ in range(14)]


def test_it_is_done_after_the_last_combination_and_stays_so() -> None:
    backend = grid.build(NESTED, seed=0)
    answers = [backend.ask() for _ in range(20)]
    assert all(isinstance(answer, Suggestion) for answer in answers[:14])
    assert set(answers[14:]) == {"done"}


def test_a_huge_grid_begins_at_once() -> None:
    wide = SearchSpace("wide", {f"x{i}": Float(0, 1, points=9) for i in range(30)}, Fidelity(3))
    backend = grid.build(wide, seed=0)
    assert [isinstance(backend.ask(), Suggestion) for _ in range(3)] == [True] * 3


def test_every_range_without_points_is_named_with_its_mend() -> None:
    space = SearchSpace(
        "s",
        {"lr": Float(0, 1), "k": Int(1, 3), "kind": Categorical(("a", "b")), "mu": Float(0, 1, points=3)},
        Fidelity(3),
    )
    with pytest.raises(UserError) as caught:
        grid.build(space, seed=0)
    assert "lr, k " in str(caught.value)
    assert "--set space.lr.points=5 --set space.k.points=5" in str(caught.value)
    assert "mu" not in str(caught.value)


def test_an_option_is_a_mistake() -> None:
    with pytest.raises(UserError, match="'points'"):
        grid.build(SPACE, seed=0, points=3)
