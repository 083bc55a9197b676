from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hpo
from hpo.errors import HpoError, TaskError
from hpo.space import SearchSpace
from hpo.training import Job, Worker
from hpo.training.user_code import GeneratorTrainable, build
from hpo.trial import Report, Suggestion
from tests.api.user_code import FORMS, WRONG, Parabola

CONFIG = {"x": 0.5}
SPACE = hpo.SearchSpace("s", {"x": hpo.Float(0.0, 1.0)}, hpo.Fidelity(9))


def steps(trainable: Any, n: int) -> list[Mapping[str, float]]:
    return [trainable.step() for _ in range(n)]


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_train_alike(form: str) -> None:
    expected = steps(Parabola(CONFIG), 5)
    assert steps(build(FORMS[form], CONFIG, None, None, "cpu"), 5) == expected


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_go_on_from_a_state(form: str) -> None:
    first = build(FORMS[form], CONFIG, None, None, "cpu")
    steps(first, 3)
    second = build(FORMS[form], CONFIG, None, None, "cpu")
    second.load_state_dict(first.state_dict())
    assert steps(second, 2) == steps(Parabola(CONFIG), 5)[3:]
    assert steps(second, 2) == steps(Parabola(CONFIG), 7)[5:]


@pytest.mark.parametrize(("code", "told"), [(code, told) for code, told in WRONG if "objective" not in told])
def test_what_has_none_of_the_forms_is_a_task_error(code: Any, told: str, tmp_path: Path) -> None:
    worker = Worker(Job(SPACE, 0, Path(), code), tmp_path, "cpu")
    with pytest.raises(TaskError, match=r"^[^\n]+$") as raised:
        next(worker.train(Suggestion(0, CONFIG, 3), after=0))
    assert told in str(raised.value)


def optional_model(config: Mapping[str, Any], model: object = None, data: object = None, device: str = "") -> Parabola:
    assert device == "cpu"
    return Parabola(config)


def other_defaults(config: Mapping[str, Any], steepness: float = 1.0, a: int = 0, b: int = 0, c: int = 0) -> Parabola:
    assert steepness == 1.0
    return Parabola(config)


class Callable:
    def __call__(self, *arguments: Any) -> Parabola:
        assert len(arguments) == 4
        return Parabola(arguments[0])


@pytest.mark.parametrize("code", [optional_model, other_defaults, Callable()])
def test_code_gets_the_arguments_that_it_takes(code: Any) -> None:
    assert build(code, CONFIG, None, None, "cpu").step() == Parabola(CONFIG).step()


def test_the_class_form_may_have_defaults_of_its_own() -> None:
    assert build(Parabola, CONFIG, None, None, "cpu").step() == Parabola(CONFIG).step()


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


def test_a_generator_that_ends_too_early_says_after_which_epoch() -> None:
    def short(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        yield {"val_loss": 1.0}
        yield {"val_loss": 1.0}

    trainable = build(short, CONFIG, None, None, "cpu")
    assert isinstance(trainable, GeneratorTrainable)
    steps(trainable, 2)
    with pytest.raises(TaskError, match=r"ended after epoch 2, .* `fidelity` of high = 2"):
        trainable.step()


def train(space: SearchSpace, code: Any, folder: Path, until: int, after: int) -> list[Report]:
    worker = Worker(Job(space, 7, Path(), code), folder, "cpu")
    return list(worker.train(Suggestion(0, CONFIG, until), after=after))


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
