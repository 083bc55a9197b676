from __future__ import annotations

import json
import random

import numpy as np
import pytest

from benchmarks import lcbench
from benchmarks.best_known import Cube
from benchmarks.lcbench import BEST_KNOWN, INPUTS, LCBench, instances
from hpo.space import Categorical

pytestmark = [
    pytest.mark.skipif(not lcbench.folder().is_dir(), reason="$HPO_DATA has no lcbench"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
]
NAME = "lcbench/7593"
CONFIG = {
    "batch_size": 64,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.001,
    "num_layers": 3,
    "max_units": 256,
    "max_dropout": 0.2,
}


def values(problem: LCBench) -> list[float]:
    return [problem.curve(CONFIG, epoch)["val_loss"] for epoch in range(1, 53)]


def test_the_space_is_that_of_the_scenario() -> None:
    space = LCBench(NAME).space
    assert space.problem(CONFIG) is None
    assert (space.fidelity.high, len(space.domains)) == (52, 7)


def test_the_final_value_is_the_last_of_the_curve() -> None:
    problem = LCBench(NAME)
    assert problem.final(CONFIG) == pytest.approx(values(problem)[-1], rel=1e-5)


def test_noise_multiplies_the_curve_and_follows_from_the_seed() -> None:
    clean, noisy, again = (values(LCBench(NAME, seed=1, noise=noise)) for noise in (0.0, 0.1, 0.1))
    assert noisy == again != values(LCBench(NAME, seed=2, noise=0.1))
    assert 0.07 < np.std(np.log(noisy) - np.log(clean)) < 0.14
    assert LCBench(NAME, seed=1, noise=0.1).final(CONFIG) == LCBench(NAME).final(CONFIG)


def test_no_random_configuration_is_better_than_the_best_known_and_half_are_better_than_the_median() -> None:
    problem, rng = LCBench(NAME), random.Random(5)
    finals = np.array([problem.final(problem.space.sample(rng)) for _ in range(500)])
    assert finals.min() >= problem.best
    assert 0.4 < (finals < problem.median).mean() < 0.6


def test_the_best_known_of_every_data_set_is_there() -> None:
    known = json.loads(BEST_KNOWN.read_text())
    assert set(known) == {*instances(held_out=True), *instances(held_out=False)}
    assert all(0 < each["best"] < each["median"] for each in known.values())


def test_the_unit_cube_of_the_space_holds_every_configuration() -> None:
    problem, rng = LCBench(NAME), random.Random(1)
    cube = Cube(problem)
    sampled = np.array([[problem.space.sample(rng)[name] for name in INPUTS] for _ in range(50)], float)
    points = cube.points(sampled)
    assert ((points >= 0) & (points <= 1)).all()
    assert cube.values(points) == pytest.approx(sampled)
    low, high = cube.values(np.array([[0.0] * 7, [1.0] * 7]))
    for name, least, most in zip(INPUTS, low, high, strict=True):
        domain = problem.space.domains[name]
        assert not isinstance(domain, Categorical)
        assert (least, most) == pytest.approx((domain.low, domain.high))
