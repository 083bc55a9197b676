"""Random search."""

import pytest

from hpo.backends import random
from hpo.errors import UserError
from tests.backends.configurations_contract import ConfigurationsContract
from tests.backends.contract import SPACE, BackendContract, Build
from tests.backends.simulation import play


class TestRandom(BackendContract, ConfigurationsContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: random.build(space, seed=seed)


def test_every_trial_trains_to_full_fidelity() -> None:
    played = play(random.build(SPACE, seed=0), SPACE)
    assert {trial.epoch for trial in played.trials.values()} == {SPACE.fidelity.high}


def test_another_seed_searches_elsewhere() -> None:
    configs = [play(random.build(SPACE, seed=seed), SPACE, trials=5).first()[0].config for seed in range(5)]
    assert len({repr(config) for config in configs}) == 5


def test_an_option_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r"'n_trials'.*allowed: none"):
        random.build(SPACE, seed=0, n_trials=3)
