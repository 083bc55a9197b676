"""Configurations that a user gives."""

import math
from typing import Any

import pytest

from hpo.errors import SpaceError
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace, Task
from hpo.space.given_values import with_defaults

SPACE = SearchSpace(
    "given",
    {
        "optimizer": Categorical(("sgd", "adamw"), default="adamw"),
        "momentum": Float(0.5, 0.9, step=0.1, when={"optimizer": ("sgd",)}),
        "lr": Float(1e-4, 1e-1, log=True, default=1e-3),
        "width": Int(16, 64, step=16),
        "layers": Categorical(((64, 64), (128,), 1, True, None)),
    },
    Fidelity(3),
    Task(regime="from_scratch"),
    {"batch_size": 32},
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"optimizer": "adamw", "lr": 1e-3}),
        ({"lr": 0.1}, {"optimizer": "adamw", "lr": 0.1}),
        ({"width": 32.0}, {"optimizer": "adamw", "lr": 1e-3, "width": 32}),
        (
            {"momentum": 0.7000000000001, "optimizer": "sgd"},
            {"optimizer": "sgd", "momentum": 0.7, "lr": 1e-3},
        ),
        ({"layers": [64, 64]}, {"optimizer": "adamw", "lr": 1e-3, "layers": (64, 64)}),
        ({"layers": 1.0}, {"optimizer": "adamw", "lr": 1e-3, "layers": 1}),
        ({"layers": True}, {"optimizer": "adamw", "lr": 1e-3, "layers": True}),
        ({"layers": None}, {"optimizer": "adamw", "lr": 1e-3, "layers": None}),
        ({"batch_size": 32, "regime": "from_scratch"}, {"optimizer": "adamw", "lr": 1e-3}),
    ],
)
def test_given_values_become_values_of_the_space_beside_its_defaults(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert repr(with_defaults(SPACE, given)) == repr(expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lrr": 0.1}, "unknown hyperparameter 'lrr'; did you mean 'lr'?"),
        ({"lr": 2}, "lr: 2 is not in the range {low: 0.0001, high: 0.1}; the nearest is 0.1"),
        ({"width": 30}, "width: 30 is not in the range {low: 16, high: 64, step: 16}; the nearest is 32"),
        ({"lr": "fast"}, "lr: 'fast' is not in the range {low: 0.0001, high: 0.1}"),
        ({"lr": True}, "lr: true is not in the range"),
        ({"optimizer": "adam"}, "optimizer: 'adam' is not in the choices; did you mean 'adamw'?"),
        ({"layers": [64]}, "layers: [64] is not in the choices"),
        ({"batch_size": 64}, "batch_size: is not searched, but always 32"),
        (
            {"momentum": 0.5},
            "momentum: it is active only with optimizer out of ['sgd'], but optimizer is 'adamw' by default; "
            "give optimizer too",
        ),
        ({"momentum": 0.5, "optimizer": "adamw"}, "momentum: it is active only with optimizer out of ['sgd'], but"),
    ],
)
def test_a_wrong_value_is_one_line_with_what_is_allowed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        with_defaults(SPACE, given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**399, {"a": 1}, [{"a": 1}], [math.nan]])
@pytest.mark.parametrize("name", ["lr", "width", "momentum", "layers", "batch_size", "unknown"])
def test_a_value_that_cannot_be_compared_is_one_line_of_a_space_error(name: str, value: Any) -> None:
    with pytest.raises(SpaceError, match=f"^{name}: [^\n]*$|^unknown hyperparameter [^\n]*$"):
        with_defaults(SPACE, {"optimizer": "sgd", name: value})


def test_a_condition_on_a_value_that_is_open_asks_for_it() -> None:
    domains: dict[str, Domain] = {"kind": Categorical(("a", "b")), "y": Float(0, 1, default=0.5, when={"kind": ("a",)})}
    space = SearchSpace("open", domains, Fidelity(3))
    with pytest.raises(SpaceError, match=r"y: it is active only with kind out of \['a'\]; give kind too"):
        with_defaults(space, {"y": 0.1})
    assert with_defaults(space, {}) == {"y": 0.5}, "if `a` is chosen, the default counts"
    assert with_defaults(space, {"kind": "b"}) == {"kind": "b"}
