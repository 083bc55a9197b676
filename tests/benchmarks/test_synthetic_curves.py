from __future__ import annotations

import math
import random

import numpy as np
import pytest

from benchmarks.problems import SYNTHETIC
from benchmarks.synthetic_curves import FUNCTIONS, OFFSET, SyntheticCurves
from hpo.trial import Config

MINIMA: dict[str, tuple[float, ...]] = {
    "branin": (0.5427728435726529, 0.1516666666666667),
    "hart6": (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573),
}
MINIMA |= {f"hart6in{n}": (*MINIMA["hart6"], *[0.5] * (n - 6)) for n in (7, 12, 15)}


def values(problem: SyntheticCurves, config: Config) -> list[float]:
    return [problem.curve(config, epoch)["val_loss"] for epoch in range(1, problem.space.fidelity.high + 1)]


def configs(problem: SyntheticCurves, n: int) -> list[Config]:
    rng = random.Random(1)
    return [problem.space.sample(rng) for _ in range(n)]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_least_final_value_is_that_of_the_known_minimum(function: str) -> None:
    problem = SyntheticCurves(f"{function}-crossing", 0)
    point = {f"x{i}": x for i, x in enumerate(MINIMA[function])}
    assert problem.final(point) == pytest.approx(problem.best, abs=1e-5)
    assert min(map(problem.final, configs(problem, 300))) > problem.best


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_curve_ends_near_the_final_value_of_its_configuration(name: str) -> None:
    problem = SyntheticCurves(name, 0)
    for config in configs(problem, 20):
        last = values(problem, config)[-1]
        assert math.isnan(last) or last == pytest.approx(problem.final(config), abs=0.5 if "noisy" in name else 0.06)


def test_noise_follows_from_the_seed_and_the_configuration_alone() -> None:
    first, again, other = (SyntheticCurves("hart6-noisy", seed) for seed in (0, 0, 1))
    one, two = configs(first, 2)
    values(again, two)
    assert values(first, one) == values(again, one) != values(other, one)
    assert first.final(one) == other.final(one)


def test_misleading_curves_begin_in_the_opposite_order() -> None:
    problem = SyntheticCurves("hart6-misleading", 0)
    drawn = configs(problem, 100)
    finals = [problem.final(config) for config in drawn]
    assert np.corrcoef(finals, [values(problem, config)[0] for config in drawn])[0, 1] < -0.9
    assert np.corrcoef(finals, [values(problem, config)[-1] for config in drawn])[0, 1] > 0.9


def test_silent_curves_show_nothing_in_the_first_third() -> None:
    problem = SyntheticCurves("hart6-silent", 0)
    early = [values(problem, config)[14] for config in configs(problem, 50)]
    assert np.ptp(early) < 0.1


def test_a_quarter_of_the_diverging_curves_ends_in_nan_and_scores_as_the_worst() -> None:
    problem = SyntheticCurves("branin-diverging", 0)
    drawn = configs(problem, 400)
    diverged = [config for config in drawn if math.isnan(values(problem, config)[-1])]
    assert 0.18 < len(diverged) / len(drawn) < 0.32
    assert {problem.final(config) for config in diverged} == {OFFSET + 1}
    assert all(math.isfinite(values(problem, config)[0]) for config in diverged)


def test_a_name_may_give_the_number_of_epochs() -> None:
    assert SyntheticCurves("branin-crossing@5", 0).space.fidelity.high == 5
