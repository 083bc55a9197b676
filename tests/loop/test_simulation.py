from __future__ import annotations

from collections.abc import Mapping

import pytest

from hpo.backends import bohb, optuna
from hpo.backends import random as random_search
from hpo.backends._backend import Backend
from hpo.backends._full_fidelity import FullFidelity
from hpo.errors import HpoError
from hpo.loop.simulation import play
from hpo.record import Decisions, State
from hpo.space import Fidelity, SearchSpace
from hpo.space.domains import Float
from hpo.trial import Config, Decision, Report, Suggestion

SPACE = SearchSpace("toy", {"x": Float(0.0, 1.0)}, Fidelity(9))


def curve(config: Config, epoch: int) -> Mapping[str, float]:
    return {"val_loss": (float(config["x"]) - 0.3) ** 2 + 1 / epoch}  # type: ignore[arg-type]


def backends() -> list[Backend]:
    return [module.build(SPACE, seed=3) for module in (random_search, optuna, bohb)]


@pytest.mark.parametrize("slots", [1, 4])
def test_a_search_reports_exactly_the_epochs_of_its_budget(slots: int) -> None:
    for backend in backends():
        history = play(backend, SPACE, curve, slots=slots, epochs=70)
        assert history.n_epochs == sum(isinstance(event, Report) for event in history.events) == 70


def test_the_reports_are_the_values_of_the_curve() -> None:
    history = play(random_search.build(SPACE, seed=0), SPACE, curve, epochs=12)
    for trial in history.trials.values():
        assert [report.metrics["val_loss"] for report in trial.reports] == [
            curve(trial.config, epoch)["val_loss"] for epoch in range(1, trial.epoch + 1)
        ]


def test_the_same_search_has_the_same_events() -> None:
    for first, second in zip(backends(), backends(), strict=True):
        events = play(first, SPACE, curve, slots=3, epochs=40).events
        assert events == play(second, SPACE, curve, slots=3, epochs=40).events


def test_so_many_trials_train_at_once_as_there_are_slots() -> None:
    history = play(random_search.build(SPACE, seed=0), SPACE, curve, slots=4, epochs=20)
    running, most = set[int](), 0
    for event in history.events:
        if isinstance(event, Suggestion):
            running.add(event.trial)
        elif isinstance(event, Report) and event.fidelity == 9:
            running.discard(event.trial)
        most = max(most, len(running))
    assert most == 4


def test_decisions_of_the_backend_are_carried_out() -> None:
    history = play(bohb.build(SPACE, seed=0), SPACE, curve, epochs=150)
    decided = [event for event in history.events if isinstance(event, Decisions)]
    assert any(Decision.STOP in event.decisions.values() for event in decided)
    promoted = [trial for trial in history.trials.values() if trial.state is State.COMPLETE]
    assert promoted
    assert all([report.fidelity for report in trial.reports] == list(range(1, 10)) for trial in promoted)


def test_a_search_ends_when_nothing_is_left_to_try() -> None:
    class Two:
        def __init__(self) -> None:
            self.n = 0

        def ask(self, *, new: bool = True) -> Suggestion | str:
            self.n += 1
            return Suggestion(self.n - 1, {"x": 0.5}, until=9) if self.n <= 2 else "done"

        def tell(self, event: object) -> Mapping[int, Decision]:
            return {}

    assert play(Two(), SPACE, curve, epochs=100).n_epochs == 18  # type: ignore[arg-type]


def test_a_backend_that_breaks_its_protocol_is_an_error() -> None:
    class Outside(FullFidelity):
        def __init__(self) -> None: ...

        def ask(self, *, new: bool = True) -> Suggestion:
            return Suggestion(0, {"x": 2.0}, until=9)

    with pytest.raises(HpoError, match="outside"):
        play(Outside(), SPACE, curve, epochs=9)
