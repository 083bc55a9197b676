"""The encoding of configurations as points of the unit cube."""

from __future__ import annotations

import math
import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpo.space import Categorical, Fidelity, Float, Int, SearchSpace
from hpo.space.encoding import CHOSEN, Encoding
from hpo.trial import Config
from tests.backends.contract import SPACE
from tests.space.spaces import FEW, spaces

SEEDS = st.integers(0, 2**32 - 1)


@FEW
@given(space=spaces(), seed=SEEDS)
def test_a_configuration_survives_encoding_and_decoding(space: SearchSpace, seed: int) -> None:
    encoding, config = Encoding(space), space.sample(random.Random(seed))
    point = encoding.encode(config)
    assert point.shape == (encoding.n_coordinates,)
    assert np.all((point >= 0) & (point <= 1))
    decoded = encoding.decode(point)
    assert decoded.keys() == config.keys()
    for name, value in decoded.items():
        if isinstance(space.domains[name], Float) and space.domains[name].n_values == math.inf:
            assert math.isclose(value, config[name], rel_tol=1e-6, abs_tol=1e-6)  # type: ignore[arg-type]
        else:
            assert repr(value) == repr(config[name])


@FEW
@given(space=spaces(), seed=SEEDS)
def test_every_point_of_the_cube_is_that_of_a_configuration(space: SearchSpace, seed: int) -> None:
    encoding = Encoding(space)
    points = np.random.default_rng(seed).uniform(-0.1, 1.1, (5, encoding.n_coordinates))
    for point, snapped in zip(points, encoding.snap(points), strict=True):
        config = encoding.decode(point)
        assert space.problem(config) is None
        assert np.allclose(snapped, encoding.encode(config), atol=1e-6)


@FEW
@given(space=spaces(), seed=SEEDS)
def test_a_snapped_point_stays_where_it_is(space: SearchSpace, seed: int) -> None:
    encoding = Encoding(space)
    snapped = encoding.snap(np.random.default_rng(seed).random((5, encoding.n_coordinates)))
    assert np.allclose(encoding.snap(snapped), snapped, atol=1e-9)


def test_two_choices_are_at_distance_1_and_a_single_value_takes_no_coordinate() -> None:
    space = SearchSpace(
        "s", {"kind": Categorical(("a", "b", "c")), "one": Categorical(("x",)), "same": Float(2, 2)}, Fidelity(3)
    )
    encoding = Encoding(space)
    a, b = (encoding.encode({"kind": kind, "one": "x", "same": 2.0}) for kind in ("a", "b"))
    assert (encoding.n_coordinates, encoding.n_hyperparameters) == (3, 1)
    assert math.isclose(float(np.linalg.norm(a - b)), 1.0)
    assert a.tolist() == [CHOSEN, 0, 0]


def test_the_ends_of_whole_numbers_are_as_likely_as_the_numbers_between() -> None:
    encoding = Encoding(SearchSpace("s", {"n": Int(1, 4)}, Fidelity(3)))
    values = [encoding.decode(np.array([position]))["n"] for position in np.linspace(0.001, 0.999, 400)]
    assert [values.count(n) for n in (1, 2, 3, 4)] == [100] * 4


def test_configurations_do_not_differ_in_what_is_not_active() -> None:
    encoding = Encoding(SPACE)
    common: Config = {"optimizer": "adam", "lr": 1e-3, "batch_size": 32, "step_size": 9, "width": 7, "same": 0.25}
    point = encoding.encode(common)
    moved = point.copy()
    position = list(SPACE.domains).index("momentum") + 2  # after three coordinates of the optimizer
    assert point[position] == 0.5
    moved[position] = 0.9
    assert np.array_equal(encoding.snap(moved[None])[0], point)


def test_only_active_ranges_are_movable() -> None:
    encoding = Encoding(SPACE)
    movable = [int(encoding.movable(encoding.encode(SPACE.sample(random.Random(seed)))).sum()) for seed in range(30)]
    # Always lr, step_size and width; with sgd or nag also momentum, and with some choices of nesterov also dampening.
    assert set(movable) == {3, 4, 5}
