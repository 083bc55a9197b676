"""What ASHA and Optuna's pruners have in common: the rungs at which they stop, and what counts there as what."""

import math
from collections.abc import Callable

import pytest

from hpo.backends import asha, optuna
from hpo.backends._backend import Backend
from hpo.space import SearchSpace
from hpo.trial import Crash
from tests.backends.driving import begin, line, report, train

Make = Callable[[SearchSpace], Backend]

MAKES: dict[str, Make] = {
    "asha": lambda space: asha.build(space, seed=0),
    "optuna-sha": lambda space: optuna.build(space, seed=0, sampler="random", pruner="sha"),
}
RANGES = [
    (243, 1, 3),
    (30, 1, 3),
    (64, 1, 2),
    (100, 1, 10),
    (125, 1, 5),
    (1000, 1, 10),
    (81, 3, 3),
    (7, 7, 3),
    (10, 3, 2),
]


@pytest.fixture(params=MAKES)
def make(request: pytest.FixtureRequest) -> Make:
    return MAKES[request.param]


@pytest.mark.parametrize(("high", "low", "eta"), RANGES)
def test_every_rung_below_the_top_decides_and_no_other_epoch(make: Make, high: int, low: int, eta: int) -> None:
    space = line(high, low, eta)
    rungs = space.fidelity.rungs()
    for rung in rungs[:-1]:
        backend = make(space)
        assert train(backend, space, lambda epoch: 1.0) == high
        # Bad at every epoch but the rungs below, and at this rung.
        good = [each for each in rungs if each < rung]
        assert train(backend, space, lambda epoch, good=good: 0.5 if epoch in good else 2.0) == rung  # type: ignore[misc]
    assert train(make(space), space, lambda epoch: 1.0) == high


def test_trials_are_begun_for_full_fidelity(make: Make) -> None:
    backend = make(line(30))
    assert [begin(backend).until for _ in range(3)] == [30, 30, 30]
    assert backend.ask(new=False) == "done"


@pytest.mark.parametrize("worst", [math.inf, math.nan, -math.inf])
def test_an_infinite_loss_is_stopped_where_others_are_finite(make: Make, worst: float) -> None:
    space = line(27)
    backend = make(space)
    assert train(backend, space, lambda epoch: worst) == 27
    assert train(backend, space, lambda epoch: 1.0) == 27
    assert train(backend, space, lambda epoch: worst) == 1
    assert train(backend, space, lambda epoch: worst) == 1


def test_a_crash_takes_part_in_the_rung_that_it_did_not_reach(make: Make) -> None:
    space = line(4, eta=2)
    without, backend = make(space), make(space)
    for _ in range(2):
        assert backend.tell(Crash(begin(backend).trial, "ValueError", "")) == {}
    for each in (without, backend):
        assert train(each, space, lambda epoch: 1.0) == 4
    assert train(without, space, lambda epoch: 2.0) == 1
    assert train(backend, space, lambda epoch: 2.0) > 1


def test_the_loss_of_a_trial_that_ended_itself_stands_at_higher_rungs(make: Make) -> None:
    space = line(27)
    backend = make(space)
    assert backend.tell(report(begin(backend), 0.1, at=2, last=True)) == {}
    assert train(backend, space, lambda epoch: 0.05 if epoch < 9 else 0.2) == 9


def test_about_one_in_eta_passes_a_rung(make: Make) -> None:
    space = line(9)
    backend = make(space)
    ends = [train(backend, space, lambda epoch, loss=(i * 37 % 101) / 101: loss) for i in range(101)]  # type: ignore[misc]
    assert 0.2 < sum(end > 1 for end in ends) / 101 < 0.5
