"""When a trial ends itself, told by trainings that follow a script."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.space import Fidelity, SearchSpace
from hpo.space.domains import Float
from hpo.training.builder import Job
from hpo.training.checkpoints import best_checkpoint
from hpo.training.trial_run import N_REPORTS
from hpo.training.user_code import Build
from hpo.training.worker import Worker
from hpo.trial import Config, Report, Suggestion
from tests.space.spaces import FEW
from trainables.training import checkpoints


class Scripted:
    """A trainable whose epochs are known beforehand."""

    def __init__(self, epochs: Sequence[Mapping[str, float]]) -> None:
        self.epochs = epochs
        self.epoch = 0

    def step(self) -> Mapping[str, float]:
        self.epoch += 1
        return self.epochs[self.epoch - 1]

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]

    def evaluate(self, part: object) -> Mapping[str, float]:
        raise AssertionError("nothing is to be evaluated")


Train = Callable[..., list[Report]]


Keep = Callable[[Sequence[Mapping[str, float]], str, bool], tuple[list[float], int]]


@pytest.fixture(scope="session")
def keep(tmp_path_factory: pytest.TempPathFactory) -> Keep:
    """Trains a script; returns the reported losses, and the epoch whose checkpoint was kept as the best one."""

    def keep(epochs: Sequence[Mapping[str, float]], objective: str, parts: bool) -> tuple[list[float], int]:
        space = SearchSpace("scripted", {"x": Float(0, 1)}, Fidelity(len(epochs)), objective=objective)
        build: Build = lambda *arguments: Scripted(epochs)  # noqa: E731
        job, folder = Job(space, 0, Path(), build), tmp_path_factory.mktemp("checkpoints")
        reports: list[Report] = []
        for until in range(1, len(epochs) + 1) if parts else (len(epochs),):
            if not (reports and reports[-1].last):
                suggestion = Suggestion(0, {"x": 0.5}, until)
                reports += Worker(job, folder, "cpu").train(suggestion, after=len(reports))
        kept = checkpoints.read(best_checkpoint(folder, 0))
        return [report.loss for report in reports], kept["state"]["epoch"] if kept else 0

    return keep


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains a script under fixed hyperparameters; with `parts`, each epoch by a worker of its own."""

    def train(
        epochs: Sequence[Mapping[str, float]], *, parts: bool = False, searched: Config | None = None, **fixed: Any
    ) -> list[Report]:
        space = SearchSpace("scripted", {"x": Float(0, 1)}, Fidelity(max(len(epochs), 1)), fixed=fixed)
        build: Build = lambda *arguments: Scripted(epochs)  # noqa: E731
        job, folder = Job(space, 0, Path(), build), tmp_path_factory.mktemp("checkpoints")
        reports: list[Report] = []
        for until in range(1, len(epochs) + 1) if parts else (len(epochs),):
            if not (reports and reports[-1].last):
                reports += Worker(job, folder, "cpu").train(
                    Suggestion(0, {"x": 0.5, **(searched or {})}, until), after=len(reports)
                )
        return reports

    return train


def accuracies(values: Sequence[float], **more: float) -> list[dict[str, float]]:
    """Epochs of these validation accuracies; the loss only falls, so that patience has no part in it."""
    return [{"val_loss": 1 / (i + 1), "val_accuracy": value, **more} for i, value in enumerate(values)]


def losses(values: Sequence[float], **more: float) -> list[dict[str, float]]:
    return [{"val_loss": value, "val_accuracy": 0.5, **more} for value in values]


def test_the_rule_of_25_epochs_ends_a_trial_whose_accuracy_exceeds_none_of_them(train: Train) -> None:
    flat = train(accuracies([0.5] * 30), window=25)
    assert (len(flat), flat[-1].last) == (26, True)
    rising = train(accuracies([0.5 + 0.01 * epoch for epoch in range(30)]), window=25)
    assert (len(rising), rising[-1].last) == (30, False)


def test_a_dip_below_the_lowest_of_the_window_ends_a_trial_and_a_smaller_one_does_not(train: Train) -> None:
    window = [0.3, 0.9, 0.8, 0.7]
    assert len(train(accuracies([*window, 0.31, 0.9, 0.9]), window=4)) == 7
    assert len(train(accuracies([*window, 0.30, 0.9, 0.9]), window=4)) == 5


def test_a_low_accuracy_that_has_left_the_window_counts_no_more(train: Train) -> None:
    assert len(train(accuracies([0.1, 0.9, 0.8, 0.7, 0.75, 0.6, 0.9]), window=3)) == 6


@FEW
@given(values=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=12), window=st.integers(1, 5))
def test_a_trial_ends_at_the_first_epoch_that_exceeds_none_of_a_full_window(
    train: Train, values: list[float], window: int
) -> None:
    ends = [n for n in range(window, len(values)) if values[n] <= min(values[n - window : n])]
    reports = train(accuracies(values), window=window)
    assert len(reports) == (ends[0] + 1 if ends else len(values))
    assert reports[-1].last == bool(ends)


def test_the_window_goes_on_over_a_pause(train: Train) -> None:
    assert len(train(accuracies([0.5] * 9), parts=True, window=4)) == 5


def test_a_window_longer_than_the_reports_that_are_kept_otherwise_goes_on_over_a_pause(train: Train) -> None:
    assert len(train(accuracies([0.5] * 40), parts=True, window=N_REPORTS + 5)) == N_REPORTS + 6


def test_the_window_holds_epochs_of_one_phase_alone(train: Train) -> None:
    script = [*accuracies([0.5] * 3, phases_left=1.0), *accuracies([0.5] * 6, phases_left=0.0)]
    assert len(train(script, window=3)) == 7
    assert len(train(script, window=2)) == 3


def test_without_a_window_accuracy_ends_nothing(train: Train) -> None:
    assert len(train(accuracies([0.5] * 40))) == 40


def test_a_trainable_without_accuracy_has_no_window(train: Train) -> None:
    assert len(train([{"val_loss": 1.0}] * 9, window=2)) == 9


@pytest.mark.parametrize("window", [0, 2.5, "25", True])
def test_a_wrong_window_is_refused_by_name(train: Train, window: Any) -> None:
    with pytest.raises(ValueError, match=f"`window` must be a whole number of at least 1, but is {window!r}"):
        train(accuracies([0.5]), searched={"window": window})


def test_patience_ends_a_trial_after_so_many_epochs_without_improvement(train: Train) -> None:
    assert len(train(losses([3, 2, 2, 2, 2, 2]), patience=3)) == 5
    assert len(train(losses([3, 2, 2, 2, 1, 1, 1, 1]), patience=3)) == 8


def test_patience_waits_while_phases_are_left(train: Train) -> None:
    script = [*losses([2, 2, 2, 2], phases_left=1.0), *losses([2, 2, 2, 2], phases_left=0.0)]
    assert len(train(script, patience=2)) == 7
    assert len(train(script, parts=True, patience=2)) == 7


@pytest.mark.parametrize("parts", [False, True])
def test_what_an_earlier_phase_reached_is_no_result_of_the_last_one(train: Train, parts: bool) -> None:
    script = [*losses([2, 1], phases_left=1.0), *losses([1.5, 1.4, 1.6, 1.7], phases_left=0.0)]
    reports = train(script, parts=parts, patience=2)
    assert [report.loss for report in reports] == [2, 1, 1.5, 1.4, 1.4, 1.4]
    assert reports[-1].last


def test_a_phase_that_diverges_ends_the_trial_all_the_same(train: Train) -> None:
    reports = train(losses([2, float("nan"), 1], phases_left=1.0), patience=2)
    assert [report.last for report in reports] == [False, True]


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_a_trial_and_is_never_its_best(keep: Keep, bad: float, parts: bool) -> None:
    assert keep(losses([3, 2, bad, 1]), "val_loss", parts) == ([3, 2, 2], 2)
    assert keep([{"val_loss": 1.0, "val_accuracy": -bad}], "val_error", parts)[0] == [math.inf]


def test_a_trial_whose_first_loss_is_not_finite_keeps_no_best_checkpoint(keep: Keep) -> None:
    assert keep(losses([-math.inf, 1]), "val_loss", False) == ([math.inf], 0)


@pytest.mark.parametrize("parts", [False, True])
def test_between_epochs_of_equal_error_the_one_with_the_lower_validation_loss_is_kept(keep: Keep, parts: bool) -> None:
    assert keep(losses([3, 1, 2, 1]), "val_error", parts) == ([0.5] * 4, 2)
    assert keep(losses([3, -math.inf, 2, math.nan]), "val_error", parts) == ([0.5] * 4, 3)


def test_a_checkpoint_does_not_grow_with_the_epochs_of_its_trial(tmp_path: Path) -> None:
    sizes = []
    for report in long_training(tmp_path, losses([1.0] * 200), after=0):
        sizes.append((report.fidelity, (tmp_path / "0.pt").stat().st_size))
    assert dict(sizes)[199] < 1.1 * dict(sizes)[100]


def test_the_reports_that_a_checkpoint_holds_are_reported_without_training(tmp_path: Path) -> None:
    first = list(long_training(tmp_path, losses(range(60, 0, -1)), after=0))
    other = losses([99] * 60)  # would show in a report
    assert list(long_training(tmp_path, other, after=60 - N_REPORTS)) == first[-N_REPORTS:]


def test_a_trial_starts_again_if_its_checkpoint_lacks_a_report_that_is_not_on_record(tmp_path: Path) -> None:
    script = losses(range(60, 0, -1))
    first = list(long_training(tmp_path, script, after=0))
    again = list(long_training(tmp_path, script, after=59 - N_REPORTS))
    assert [(report.fidelity, report.loss) for report in again] == [
        (report.fidelity, report.loss) for report in first[59 - N_REPORTS :]
    ]


def test_a_best_epoch_long_ago_stays_the_best_over_a_pause(keep: Keep) -> None:
    n_worse = 2 * N_REPORTS
    assert keep(losses([3, 1, *[2] * n_worse]), "val_loss", True) == ([3, *[1] * (n_worse + 1)], 2)
    assert keep(losses([3, 1, *[2] * n_worse, 0.5]), "val_loss", True)[1] == n_worse + 3


def long_training(folder: Path, epochs: Sequence[Mapping[str, float]], *, after: int) -> Iterator[Report]:
    space = SearchSpace("scripted", {"x": Float(0, 1)}, Fidelity(len(epochs)))
    build: Build = lambda *arguments: Scripted(epochs)  # noqa: E731
    return Worker(Job(space, 0, Path(), build), folder, "cpu").train(
        Suggestion(0, {"x": 0.5}, len(epochs)), after=after
    )
