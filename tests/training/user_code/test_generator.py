"""Generator functions as trainables."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hpo
from hpo.errors import HpoError, TaskError
from hpo.space import SearchSpace
from hpo.training import Job, Worker
from hpo.training.user_code import build
from hpo.training.user_code.generator import has_returned
from hpo.trial import Report, Suggestion
from tests.api.user_code import FORMS
from trainables.training.cross_validation import CrossValidation

CONFIG = {"x": 0.5}
SPACE = hpo.SearchSpace("s", {"x": hpo.Float(0.0, 1.0)}, hpo.Fidelity(9))


def steps(trainable: Any, n: int) -> list[Mapping[str, float]]:
    return [trainable.step() for _ in range(n)]


def train(space: SearchSpace, code: Any, folder: Path, until: int, after: int) -> list[Report]:
    worker = Worker(Job(space, 7, Path(), code), folder, "cpu")
    return list(worker.train(Suggestion(0, CONFIG, until), after=after))


def noisy(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    start = random.random()
    while True:
        noise = random.random() + float(np.random.rand()) + float(torch.rand(()))
        yield {"val_loss": start + noise, "val_accuracy": 0.5}


def seed() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)


def disturb() -> None:
    random.random()
    np.random.rand()
    torch.rand(3)


def test_a_generator_draws_the_same_whatever_is_drawn_in_between() -> None:
    seed()
    whole = steps(build(noisy, CONFIG, None, None, "cpu"), 6)
    seed()
    first = build(noisy, CONFIG, None, None, "cpu")
    for expected in whole[:3]:
        disturb()
        assert first.step() == expected
    seed()
    second = build(noisy, CONFIG, None, None, "cpu")
    disturb()
    second.load_state_dict(first.state_dict())
    for expected in whole[3:]:
        disturb()
        assert second.step() == expected


def test_what_is_drawn_before_the_generator_is_returned_is_the_same_in_each_run(tmp_path: Path) -> None:
    def epochs(start: float) -> Iterator[dict[str, float]]:
        while True:
            yield {"val_loss": start + random.random()}

    def code(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        return epochs(random.random() + float(np.random.rand()) + float(torch.rand(())))

    paused = train(SPACE, code, tmp_path / "a", until=3, after=0) + train(SPACE, code, tmp_path / "a", until=9, after=3)
    whole = train(SPACE, code, tmp_path / "b", until=9, after=0)
    assert [each.metrics for each in paused] == [each.metrics for each in whole]


def test_a_run_that_has_begun_loads_no_state_because_its_model_is_trained_already() -> None:
    trainable = build(FORMS["generator"], CONFIG, None, None, "cpu")
    state = trainable.state_dict()
    trainable.load_state_dict(state)
    trainable.step()
    with pytest.raises(HpoError, match="cannot go back"):
        trainable.load_state_dict(state)


@pytest.mark.parametrize(("change", "is_error"), [(1e-4, False), (1e-2, True)])
@pytest.mark.parametrize("loss", [1.0, 1e-5])
def test_an_epoch_that_runs_again_may_round_differently(loss: float, change: float, is_error: bool) -> None:
    runs = iter([loss, loss * (1 + change)])

    def rounding(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        run = next(runs)
        while True:
            yield {"val_loss": run * 100, "train_loss": run * 1e-9}

    first = build(rounding, CONFIG, None, None, "cpu")
    steps(first, 2)
    second = build(rounding, CONFIG, None, None, "cpu")
    second.load_state_dict(first.state_dict())
    with pytest.raises(HpoError, match="when it ran again") if is_error else contextlib.nullcontext():
        second.step()


def test_a_generator_that_gives_other_metrics_when_it_runs_again_is_an_error() -> None:
    runs = iter([1.0, 2.0])

    def changing(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        run = next(runs)
        while True:
            yield {"val_loss": run}

    first = build(changing, CONFIG, None, None, "cpu")
    steps(first, 2)
    second = build(changing, CONFIG, None, None, "cpu")
    second.load_state_dict(first.state_dict())
    with pytest.raises(HpoError, match=r"epoch 1 gave val_loss = 1.0 at first, and 2.0 when it ran again"):
        second.step()


def test_a_generator_may_diverge_and_repeat_it() -> None:
    def diverging(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        yield {"val_loss": 1.0}
        while True:
            yield {"val_loss": math.nan}

    first = build(diverging, CONFIG, None, None, "cpu")
    steps(first, 2)
    second = build(diverging, CONFIG, None, None, "cpu")
    second.load_state_dict(first.state_dict())
    assert math.isnan(second.step()["val_loss"])


def test_a_generator_without_an_epoch_is_a_task_error() -> None:
    def empty(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        yield from ()

    with pytest.raises(TaskError, match=r"^the generator function returned without an epoch; [^\n]+$"):
        build(empty, CONFIG, None, None, "cpu").step()


def test_a_promoted_generator_reports_each_epoch_once(tmp_path: Path) -> None:
    n_run = 0

    def counted(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        nonlocal n_run
        for epochs in noisy(config):
            n_run += 1
            yield epochs

    paused = train(SPACE, counted, tmp_path / "a", until=3, after=0)
    assert n_run == 3
    promoted = train(SPACE, counted, tmp_path / "a", until=9, after=3)
    assert n_run == 3 + 9
    whole = train(SPACE, counted, tmp_path / "b", until=9, after=0)
    assert [each.fidelity for each in paused + promoted] == list(range(1, 10))
    assert [each.metrics for each in paused + promoted] == [each.metrics for each in whole]


def returning(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    for epoch in range(3):
        yield {"val_loss": 1 / (epoch + 1)}


def test_a_generator_that_returns_ends_its_trial_with_its_last_metrics_once_more(tmp_path: Path) -> None:
    reports = train(SPACE, returning, tmp_path / "a", until=9, after=0)
    assert [(each.fidelity, each.metrics["val_loss"]) for each in reports] == [
        (1, 1),
        (2, 1 / 2),
        (3, 1 / 3),
        (4, 1 / 3),
    ]
    assert [each.last for each in reports] == [False, False, False, True]


def test_a_generator_that_returns_at_a_pause_or_after_it_ends_its_trial_too(tmp_path: Path) -> None:
    for pause in (2, 3):
        folder = tmp_path / str(pause)
        paused = train(SPACE, returning, folder, until=pause, after=0)
        assert not any(each.last for each in paused)
        promoted = train(SPACE, returning, folder, until=9, after=pause)
        assert [each.fidelity for each in paused + promoted] == [1, 2, 3, 4]
        assert promoted[-1].last
        with pytest.raises(HpoError, match="the trial ended after epoch 4"):
            train(SPACE, returning, folder, until=9, after=4)


def test_a_generator_that_returns_at_the_top_rung_has_no_further_epoch(tmp_path: Path) -> None:
    reports = train(replace(SPACE, fidelity=hpo.Fidelity(3)), returning, tmp_path, until=3, after=0)
    assert [(each.fidelity, each.last) for each in reports] == [(1, False), (2, False), (3, False)]


def test_a_state_of_a_run_that_has_returned_can_be_loaded() -> None:
    first = build(returning, CONFIG, None, None, "cpu")
    whole = steps(first, 5)
    second = build(returning, CONFIG, None, None, "cpu")
    second.load_state_dict(first.state_dict())
    assert second.step() == whole[-1] == whole[2]


def test_with_cross_validation_a_trial_ends_when_the_generators_of_all_folds_have_returned() -> None:
    def epochs(n: int) -> Iterator[dict[str, float]]:
        return iter([{"val_loss": 1.0}] * n)

    folds = CrossValidation([build(lambda config, n=n: epochs(n), CONFIG, None, None, "cpu") for n in (1, 2)])
    ended = []
    for _ in range(3):
        folds.step()
        ended.append(has_returned(folds))
    assert ended == [False, False, True]
