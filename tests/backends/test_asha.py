"""ASHA."""

from collections import Counter

import pytest

from hpo.backends import asha
from hpo.errors import UserError
from hpo.space import Fidelity, Float, SearchSpace
from hpo.trial import Config
from tests.backends.configurations_contract import ConfigurationsContract
from tests.backends.contract import SPACE, BackendContract, Build
from tests.backends.driving import begin, line, number, train
from tests.backends.simulation import play


class TestAsha(BackendContract, ConfigurationsContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: asha.build(space, seed=seed)


class TestAshaOfBracketsByTpe(BackendContract, ConfigurationsContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: asha.build(
            space, seed=seed, searcher="tpe", brackets=min(3, len(space.fidelity.rungs()))
        )


def test_a_bracket_decides_for_the_first_time_at_the_rung_of_its_number() -> None:
    space = line(30)
    backend, twin = asha.build(space, seed=0, brackets=4), asha.build(space, seed=0, brackets=4)
    brackets = Counter[int]()
    for i in range(120):
        bracket = begin(twin).bracket
        # Each trial is worse than all before it, so it ends where its bracket first decides.
        end = train(backend, space, lambda epoch, loss=float(i): loss)  # type: ignore[misc]
        assert end == (space.fidelity.rungs()[bracket] if brackets[bracket] else 30)
        brackets[bracket] += 1
    assert brackets[0] > brackets[1] > brackets[2] > 0
    assert set(brackets) == {0, 1, 2, 3}


def test_tpe_learns_from_the_trials_that_are_stopped() -> None:
    space = SearchSpace("valley", {"x": Float(0, 1), "y": Float(0, 1)}, Fidelity(9))

    def distances(searcher: str) -> list[float]:
        backend = asha.build(space, seed=0, searcher=searcher)
        first = play(backend, space, trials=80, slots=2, loss=lambda config, _: far(config)).first()
        return sorted(far(suggestion.config) for suggestion in first[40:])

    def far(config: Config) -> float:
        return abs(number(config, "x") - 0.3) + abs(number(config, "y") - 0.8)

    assert distances("tpe")[20] < 0.6 * distances("random")[20]


def test_the_draw_of_brackets_leaves_the_draw_of_configurations_alone() -> None:
    backend = asha.build(SPACE, seed=0, brackets=3)
    alone = asha.build(SPACE, seed=0)
    assert [begin(backend).config for _ in range(9)] == [begin(alone).config for _ in range(9)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bracket": 2}, "did you mean 'brackets'"),
        ({"searcher": "tpee"}, "unknown searcher 'tpee'; did you mean 'tpe'"),
        ({"brackets": 0}, "`brackets` must be a whole number of at least 1 and at most 3, but is 0"),
        ({"brackets": 4}, "at most 3, but is 4"),
    ],
)
def test_a_wrong_option_is_a_mistake_that_names_what_is_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        asha.build(SPACE, seed=0, **options)  # type: ignore[arg-type]
