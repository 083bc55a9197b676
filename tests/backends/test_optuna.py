"""Optuna's samplers and pruners."""

import logging
import math
import statistics
from logging.handlers import QueueHandler
from queue import SimpleQueue

import optuna as library
import pytest

from hpo.backends import optuna
from hpo.backends._backend import Backend
from hpo.errors import UserError
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from hpo.trial import Config, Crash
from tests.backends.configurations_contract import ConfigurationsContract
from tests.backends.contract import SPACE, BackendContract, Build, RandomStateContract, replay_with_gaps
from tests.backends.driving import begin, line, number, report, train
from tests.backends.fates import MIXED
from tests.backends.simulation import play, replay


class TestTpeHyperband(BackendContract, ConfigurationsContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: optuna.build(space, seed=seed, n_startup_trials=4)


class TestCmaesSha(BackendContract, ConfigurationsContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: optuna.build(space, seed=seed, sampler="cmaes", pruner="sha", n_startup_trials=4)


class TestRandomMedian(BackendContract, ConfigurationsContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: optuna.build(space, seed=seed, sampler="random", pruner="median")


class TestQmcUnpruned(BackendContract, ConfigurationsContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: optuna.build(space, seed=seed, sampler="qmc", pruner="none")


class TestGp(RandomStateContract):
    n_trials = 5

    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: optuna.build(space, seed=seed, sampler="gp", pruner="none", n_startup_trials=3)


def test_gp_bears_every_fate_and_replays() -> None:
    def build() -> Backend:
        return optuna.build(VALLEY, seed=0, sampler="gp", pruner="none", n_startup_trials=6)

    played = play(build(), VALLEY, trials=8, fate=MIXED, slots=1)
    assert len({trial.fate for trial in played.trials.values()}) > 2
    assert all(VALLEY.problem(suggestion.config) is None for suggestion in played.first())
    replay(build(), played.steps)
    replay_with_gaps(lambda space, seed: build(), VALLEY, 0, played)


def valley(config: Config) -> float:
    """Best for nag at lr 1e-2, width 64, momentum 0.9."""
    loss = abs(math.log10(number(config, "lr")) + 2) + abs(math.log2(number(config, "width")) - 6) / 4
    return loss + 0.5 * (config["optimizer"] != "nag") + abs(number(config, "momentum") - 0.9)


VALLEY = SearchSpace(
    "valley",
    {
        "optimizer": Categorical(("adam", "sgd", "nag")),
        "lr": Float(1e-6, 1e-1, log=True),
        "width": Int(1, 512, log=True),
        "momentum": Float(0.0, 0.99, when={"optimizer": ("sgd", "nag")}),
    },
    Fidelity(9),
)


def median_of_the_later(sampler: str, trials: int = 50, **options: object) -> float:
    """The median loss of what is suggested in the later half, over two seeds."""
    losses: list[float] = []
    for seed in range(2):
        backend = optuna.build(VALLEY, seed=seed, sampler=sampler, **options)  # type: ignore[arg-type]
        played = play(backend, VALLEY, seed=seed, trials=trials, slots=2, loss=lambda config, _: valley(config))
        losses += [valley(suggestion.config) for suggestion in played.first()[trials // 2 :]]
    return statistics.median(losses)


@pytest.mark.parametrize(
    ("sampler", "pruner", "share"),
    [("tpe", "hyperband", 0.7), ("tpe", "none", 0.7), ("cmaes", "hyperband", 0.9)],
)
def test_a_sampler_that_learns_beats_random_draws(sampler: str, pruner: str, share: float) -> None:
    assert median_of_the_later(sampler, pruner=pruner) < share * median_of_the_later("random", pruner="none")


def test_tpe_keeps_away_from_what_crashes_or_diverges_although_most_trials_are_pruned() -> None:
    space = SearchSpace("cliff", {"x": Float(0, 1)}, Fidelity(27))
    for seed in range(3):
        backend = optuna.build(space, seed=seed, n_startup_trials=5)
        bad = []
        for i in range(80):
            answer = begin(backend)
            bad.append(number(answer.config, "x") > 0.6)
            if bad[-1] and i % 2:
                backend.tell(Crash(answer.trial, "ValueError", ""))
            elif bad[-1]:
                backend.tell(report(answer, math.inf, at=1, last=True))
            else:
                for epoch in range(1, 28):
                    if backend.tell(report(answer, 1 + i / 80, at=epoch)):
                        break
        assert statistics.mean(bad[40:]) < 0.25


def test_hyperband_has_as_many_brackets_as_rungs() -> None:
    space = line(243)
    backend = optuna.build(space, seed=0, sampler="random")
    # Each trial is worse than all before it, so it ends where its bracket first decides.
    ends = [train(backend, space, lambda epoch, loss=float(i): loss) for i in range(400)]  # type: ignore[misc]
    assert sorted(set(ends)) == [1, 3, 9, 27, 81, 243]
    assert ends.count(243) > 6, "beside the first of each bracket, all of the last bracket"


def test_the_median_pruner_decides_at_every_epoch_from_the_lowest() -> None:
    space = line(9, 2)
    backend = optuna.build(space, seed=0, sampler="random", pruner="median")
    for _ in range(5):
        assert train(backend, space, lambda epoch: 1.0) == 9
    assert train(backend, space, lambda epoch: 2.0) == 2
    assert train(backend, space, lambda epoch: 0.5 if epoch < 5 else 2.0) == 9, "the best so far is what counts"


def test_without_a_pruner_nothing_is_stopped() -> None:
    space = line(9)
    backend = optuna.build(space, seed=0, pruner="none")
    assert {train(backend, space, lambda epoch, loss=float(i): loss) for i in range(20)} == {9}  # type: ignore[misc]


def test_choices_that_optuna_takes_for_equal_are_kept_apart() -> None:
    domains: dict[str, Domain] = {"x": Categorical((1, True, 0, False, None, "1")), "any": Float(0, 1)}
    space = SearchSpace("equal", domains, Fidelity(1))
    backend = optuna.build(space, seed=0)
    first = play(backend, space, trials=60, loss=lambda config, _: float(config["x"] is not True)).first()
    assert {repr(suggestion.config["x"]) for suggestion in first} == {"1", "True", "0", "False", "None", "'1'"}
    assert statistics.mean(suggestion.config["x"] is True for suggestion in first[30:]) > 0.5


def test_the_seed_moves_the_points_of_qmc() -> None:
    configs = [
        repr([begin(backend).config for _ in range(3)][1:])
        for backend in (optuna.build(SPACE, seed=seed, sampler="qmc") for seed in range(3))
    ]
    assert len(set(configs)) == 3


def test_optuna_says_nothing_and_its_verbosity_stays_the_users() -> None:
    said = SimpleQueue[logging.LogRecord]()
    handler = QueueHandler(said)
    verbosity, logger = library.logging.get_verbosity(), logging.getLogger("optuna")
    logger.addHandler(handler)
    try:
        library.logging.set_verbosity(library.logging.DEBUG)
        for sampler in ("tpe", "cmaes", "qmc"):
            play(optuna.build(SPACE, seed=0, sampler=sampler, n_startup_trials=2), SPACE, trials=8, fate=MIXED)
        assert library.logging.get_verbosity() == library.logging.DEBUG
    finally:
        library.logging.set_verbosity(verbosity)
        logger.removeHandler(handler)
    assert said.empty()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samplr": "tpe"}, "did you mean 'sampler'"),
        ({"sampler": "tpee"}, "unknown sampler 'tpee'; did you mean 'tpe'.*allowed: cmaes, gp, qmc, random, tpe"),
        ({"pruner": "hyperbnd"}, "unknown pruner 'hyperbnd'; did you mean 'hyperband'"),
        ({"n_startup_trials": 0}, "`n_startup_trials` must be a whole number of at least 1, but is 0"),
    ],
)
def test_a_wrong_option_is_a_mistake_that_names_what_is_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        optuna.build(SPACE, seed=0, **options)  # type: ignore[arg-type]


def test_none_as_yaml_reads_it_is_the_pruner_none() -> None:
    space = line(9)
    backend = optuna.build(space, seed=0, pruner=None)  # type: ignore[arg-type]
    assert {train(backend, space, lambda epoch, loss=float(i): loss) for i in range(9)} == {9}  # type: ignore[misc]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_qmc_draws_the_points_of_optunas_sampler() -> None:
    space = SearchSpace("points", {"x": Float(0, 1), "y": Float(1e-3, 1, log=True), "n": Int(1, 9)}, Fidelity(1))
    distributions = library.distributions
    theirs = {
        "x": distributions.FloatDistribution(0, 1),
        "y": distributions.FloatDistribution(1e-3, 1, log=True),
        "n": distributions.IntDistribution(1, 9),
    }
    backend = optuna.build(space, seed=3, sampler="qmc", pruner="none")
    study = library.create_study(sampler=library.samplers.QMCSampler(seed=3, scramble=True))
    for _ in range(40):
        suggestion, trial = begin(backend), study.ask(theirs)
        assert suggestion.config == trial.params
        backend.tell(report(suggestion, 0.5, at=1))
        study.tell(trial, 0.5)
