"""What every backend must keep. Subclass BackendContract, give it a `build`, and its tests are yours.

class TestMine(BackendContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: mine.build(space, seed=seed)
"""

from __future__ import annotations

import json
import math
import random
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.backends._backend import Backend
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from hpo.space.values import with_tuples
from hpo.trial import Decision, Suggestion, Value
from tests.backends.fates import MIXED, Fate, fates
from tests.backends.simulation import Play, play, replay
from tests.space.spaces import spaces
from trainables.seeding import RandomStates, seed_everything

Build = Callable[[SearchSpace, int], Backend]
"""The backend under test, by space and seed."""

SPACE = SearchSpace(
    "contract",
    {
        "optimizer": Categorical(("sgd", "nag", "adam")),
        "lr": Float(1e-5, 1e-1, log=True, points=3),
        "momentum": Float(0.5, 0.99, points=2, when={"optimizer": ("sgd", "nag")}),
        "nesterov": Categorical((True, False, None), when={"optimizer": ("sgd",)}),
        "dampening": Float(0.0, 0.5, points=2, when={"nesterov": (False, None), "optimizer": ("sgd",)}),
        "batch_size": Categorical((16, 32, 64)),
        "step_size": Int(5, 30, points=2),
        "width": Int(1, 512, log=True, points=2),
        "same": Float(0.25, 0.25, points=1),
    },
    Fidelity(9),
)
"""Every kind of domain, with conditions upon conditions."""

FIDELITIES = st.sampled_from(
    [
        Fidelity(1),
        Fidelity(9),
        Fidelity(30),
        Fidelity(10, 3, 2),
        Fidelity(16, 1, 2),
        Fidelity(27, 9),
        Fidelity(20, 1, 4),
    ]
)
FEW = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,  # `build` holds nothing that one example could leave to the next
        HealthCheck.differing_executors,  # each subclass runs the same tests on another backend
    ],
)


def _with_points(domain: Domain) -> Domain:
    return domain if isinstance(domain, Categorical) else replace(domain, points=2)


SPACES = st.builds(
    lambda space, fidelity: replace(
        space,
        fidelity=fidelity,
        domains={name: _with_points(domain) for name, domain in space.domains.items()},
    ),
    spaces(),
    FIDELITIES,
)
"""Any space, with `points` so that it can be laid out as a grid, and few epochs."""


def _is_builtin(value: Value, domain: Domain) -> bool:
    """Whether a value is just what stands in the space: 32 is no 32.0, and 1 no True."""
    if isinstance(domain, Categorical):
        return any(type(value) is type(choice) and value == choice for choice in domain.choices)
    return type(value) is (int if isinstance(domain, Int) else float)


@contextmanager
def global_random_states(seed: int) -> Iterator[None]:
    """Seeds the global random states for the `with` block."""
    states = RandomStates()
    try:
        seed_everything(seed)
        yield
    finally:
        states.restore()


@contextmanager
def quick_switches() -> Iterator[None]:
    """Lets threads take turns much more often than usual."""
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-5)
        yield
    finally:
        sys.setswitchinterval(interval)


def replay_with_gaps(build: Build, space: SearchSpace, seed: int, played: Play) -> None:
    """Replay, with ever more of the suggestions taken from the record. The others are computed as ever."""
    n = len(played.asked())
    for taken in (range(0, n, 2), [i for i in range(n) if i % 7], range(n - 1)):
        replay(build(space, seed), played.steps, taken=taken)


class RandomStateContract:
    """No backend depends on the global random states of Python, numpy and torch, and none changes them."""

    n_trials = 25

    @pytest.fixture
    def build(self) -> Build:
        raise NotImplementedError("a subclass gives `build`: (space, seed) -> Backend")

    def epochs(self, fidelity: Fidelity) -> Collection[int]:
        """The epochs to which a suggestion may train. A subclass says so if they are not the rungs of the space."""
        return fidelity.rungs()

    def test_global_random_states_are_neither_moved_nor_heeded(self, build: Build) -> None:
        played = play(build(SPACE, 5), SPACE, trials=self.n_trials, fate=MIXED)
        with global_random_states(99):
            before = random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()
            replay(build(SPACE, 5), played.steps)
            assert (random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()) == before

    def test_a_thread_that_draws_from_the_global_random_states_disturbs_nothing_and_is_not_disturbed(
        self, build: Build
    ) -> None:
        played = play(build(SPACE, 6), SPACE, trials=self.n_trials, fate=MIXED)
        ended = threading.Event()

        def draw() -> list[tuple[float, float, float]]:
            drawn = []
            while not ended.is_set():
                drawn.append((random.random(), float(np.random.random()), float(torch.rand(()))))
            return drawn

        with global_random_states(7), quick_switches(), ThreadPoolExecutor(1) as pool:
            drawn = pool.submit(draw)
            try:
                replay(build(SPACE, 6), played.steps)
            finally:
                ended.set()
        python, numpy, generator = random.Random(7), np.random.RandomState(7), torch.Generator().manual_seed(7)
        assert drawn.result() == [
            (python.random(), float(numpy.random()), float(torch.rand((), generator=generator))) for _ in drawn.result()
        ]

    def test_backends_in_several_threads_answer_as_each_does_alone(self, build: Build) -> None:
        seeds = (1, 2, 1)
        alone = [play(build(SPACE, seed), SPACE, seed=seed, trials=self.n_trials, fate=MIXED) for seed in seeds]
        with quick_switches(), ThreadPoolExecutor(len(seeds)) as pool:
            replays = [
                pool.submit(lambda seed, played: replay(build(SPACE, seed), played.steps), seed, played)
                for seed, played in zip(seeds, alone, strict=True)
            ]
            for each in replays:
                each.result()


class BackendContract(RandomStateContract):
    """The promises of `hpo.backends._backend.Backend`, each a test."""

    @FEW
    @given(space=SPACES, seed=st.integers(0, 2**32 - 1))
    def test_every_configuration_lies_in_the_space_and_is_plain(
        self, build: Build, space: SearchSpace, seed: int
    ) -> None:
        for suggestion in play(build(space, seed), space, trials=12).first():
            assert space.problem(suggestion.config) is None
            values = tuple(suggestion.config.values())
            assert all(_is_builtin(value, space.domains[name]) for name, value in suggestion.config.items())
            assert with_tuples(json.loads(json.dumps(list(suggestion.config.values())))) == values
            assert json.loads(json.dumps(suggestion.notes)) == suggestion.notes

    @FEW
    @given(fidelity=FIDELITIES, slots=st.integers(1, 6), seed=st.integers(0, 99))
    def test_a_second_backend_answers_the_same_questions_alike(
        self, build: Build, fidelity: Fidelity, slots: int, seed: int
    ) -> None:
        space = replace(SPACE, fidelity=fidelity)
        played = play(build(space, seed), space, seed=seed, slots=slots, fate=MIXED)
        replay(build(space, seed), played.steps)
        replay_with_gaps(build, space, seed, played)

    @FEW
    @given(fidelity=FIDELITIES, slots=st.integers(1, 6), seed=st.integers(0, 99))
    def test_asking_in_vain_a_hundred_times_changes_nothing(
        self, build: Build, fidelity: Fidelity, slots: int, seed: int
    ) -> None:
        space = replace(SPACE, fidelity=fidelity)
        pestered = play(build(space, seed), space, seed=seed, slots=slots, fate=MIXED, pester=100)
        replay(build(space, seed), pestered.steps)

    @FEW
    @given(fidelity=FIDELITIES, slots=st.integers(1, 6), seed=st.integers(0, 99))
    def test_the_rules_of_a_trial_are_kept(self, build: Build, fidelity: Fidelity, slots: int, seed: int) -> None:
        space = replace(SPACE, fidelity=fidelity)
        played = play(build(space, seed), space, seed=seed, slots=slots, fate=MIXED, trials=30)
        self.check_suggestions(played, space)
        self.check_decisions(played)

    def check_suggestions(self, played: Play, space: SearchSpace) -> None:
        assert [suggestion.trial for suggestion in played.first()] == list(range(len(played.trials)))
        for step in played.asked():
            assert step.suggestion.until in self.epochs(space.fidelity)
        for step in played.promotions():
            before = step.before[step.suggestion.trial]
            assert before.state == "paused"
            assert before.config == step.suggestion.config
            assert before.until < step.suggestion.until

    def check_decisions(self, played: Play) -> None:
        for step in played.told():
            for number, decision in step.decisions.items():
                trial = step.before[number]
                if decision is Decision.STOP:
                    assert trial.state in ("running", "paused")
                else:
                    assert (number, trial.epoch) == (step.event.trial, trial.until)
                    assert trial.state == "running"

    def test_ask_for_promotions_never_begins_a_trial(self, build: Build) -> None:
        backend = build(SPACE, 3)
        assert backend.ask(new=False) == "done"
        played = play(backend, SPACE, trials=20, pester=1)
        assert len(played.trials) <= 20
        answer = backend.ask(new=False)
        assert not isinstance(answer, Suggestion)

    def test_no_worst_loss_is_promoted_over_a_finite_one(self, build: Build) -> None:
        fate = fates(infinite=0.25, nan=0.25)
        played = play(build(SPACE, 1), SPACE, trials=60, slots=5, fate=fate)
        for step in played.promotions():
            promoted = step.before[step.suggestion.trial]
            rivals = [
                trial
                for trial in step.before.values()
                if (trial.state, trial.until, trial.bracket) == ("paused", promoted.until, promoted.bracket)
            ]
            assert math.isfinite(promoted.loss) or not any(math.isfinite(trial.loss) for trial in rivals)

    @pytest.mark.parametrize("fate", [Fate.CRASH, Fate.INFINITE, Fate.NAN, Fate.DIVERGE, Fate.EARLY])
    def test_a_search_goes_on_when_its_first_trials_all_end_badly(self, build: Build, fate: Fate) -> None:
        played = play(build(SPACE, 2), SPACE, trials=50, slots=4, fate=lambda n, _: fate if n < 25 else Fate.FINE)
        full = [number for number, trial in played.trials.items() if trial.epoch == SPACE.fidelity.high]
        assert max(full) >= 25
