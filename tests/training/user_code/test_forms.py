from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hpo
from hpo.errors import TaskError
from hpo.training import Job, Worker
from hpo.training.user_code import build, is_generator_function
from hpo.trial import Report, Suggestion
from tests.api.user_code import FORMS, WRONG, Parabola, epochs

CONFIG = {"x": 0.5}
SPACE = hpo.SearchSpace("s", {"x": hpo.Float(0.0, 1.0)}, hpo.Fidelity(9))


def steps(trainable: Any, n: int) -> list[Mapping[str, float]]:
    return [trainable.step() for _ in range(n)]


def train(code: Any, folder: Path) -> Report:
    """The report of the first epoch."""
    worker = Worker(Job(SPACE, 0, Path(), code), folder, "cpu")
    return next(worker.train(Suggestion(0, CONFIG, 3), after=0))


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
    with pytest.raises(TaskError, match=r"^[^\n]+$") as raised:
        train(code, tmp_path)
    assert told in str(raised.value)


def optional_model(config: Mapping[str, Any], model: object = None, data: object = None, device: str = "") -> Parabola:
    assert device == "cpu"
    return Parabola(config)


def other_defaults(config: Mapping[str, Any], steepness: float = 1.0, a: int = 0, b: int = 0, c: int = 0) -> Parabola:
    assert steepness == 1.0
    return Parabola(config)


def default_device(config: Mapping[str, Any], model: object, data: object, device: str = "") -> Parabola:
    assert device == "cpu"
    return Parabola(config)


class Callable:
    def __call__(self, *arguments: Any) -> Parabola:
        assert len(arguments) == 4
        return Parabola(arguments[0])


class Yielding:
    def __call__(self, config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        yield {"val_loss": 1.0}

    def method(self, config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        yield {"val_loss": 1.0}


def logged(code: Any) -> Any:
    @functools.wraps(code)
    def wrapper(*arguments: Any) -> Any:
        return code(*arguments)

    return wrapper


def as_class(code: Any) -> Any:
    """A decorator that makes the class form of a generator function."""

    @functools.wraps(code)
    def wrapper(config: Mapping[str, Any]) -> Parabola:
        return Parabola(config)

    return wrapper


@pytest.mark.parametrize(
    "code",
    [
        epochs,
        lambda config: (yield {"val_loss": 1.0}),
        Yielding(),
        Yielding().method,
        functools.partial(epochs),
        functools.partial(functools.partial(Yielding())),
        functools.cache(epochs),
    ],
)
def test_a_generator_function_is_recognised_before_it_is_called(code: Any) -> None:
    assert is_generator_function(code)


@pytest.mark.parametrize("cached", [functools.cache, functools.lru_cache(maxsize=2)])
def test_code_in_a_cache_is_built_anew_for_each_trial(cached: Any) -> None:
    code = cached(lambda config: Parabola(config))
    first, second = (build(code, {"x": 0.25}, None, None, "cpu") for _ in range(2))
    assert first is not second


@pytest.mark.parametrize(
    "code",
    [
        Parabola,
        Yielding,
        FORMS["lambda"],
        optional_model,
        Callable(),
        functools.partial(Parabola),
        logged(Parabola),
        as_class(epochs),
    ],
)
def test_the_other_forms_are_no_generator_functions(code: Any) -> None:
    assert not is_generator_function(code)


def test_a_generator_that_shows_only_when_it_is_called_can_be_refused() -> None:
    for code in (lambda config: epochs(config), lambda config: iter(()), logged(epochs)):
        assert not is_generator_function(code)
        with pytest.raises(TaskError, match=r'^the trainable \S+ returned a generator, which .* backend="optuna"'):
            build(code, CONFIG, None, None, "cpu", allow_generator=False)
    for code in (Parabola, as_class(epochs)):
        assert build(code, CONFIG, None, None, "cpu", allow_generator=False).step()


@pytest.mark.parametrize("code", [optional_model, other_defaults, default_device, Callable()])
def test_code_gets_the_arguments_that_it_takes(code: Any) -> None:
    assert build(code, CONFIG, None, None, "cpu").step() == Parabola(CONFIG).step()


def keyword_only(*, config: Mapping[str, Any]) -> Parabola:
    return Parabola(config)


def three(config: Mapping[str, Any], model: object, data: object, *, steepness: float = 1.0) -> Parabola:
    return Parabola(config)


@pytest.mark.parametrize(
    ("code", "takes"), [(keyword_only, "(*, config)"), (three, "(config, model, data, *, steepness=1.0)")]
)
def test_code_that_takes_other_arguments_is_told_which_it_must_take(code: Any, takes: str) -> None:
    with pytest.raises(TaskError) as raised:
        build(code, CONFIG, None, None, "cpu")
    allowed = "it must take config, or config, model, data, device"
    assert str(raised.value) == f"the trainable {code.__name__} takes {takes}; {allowed}"


class Iterable(Parabola):
    """The class form, which is an iterator too."""

    def __iter__(self) -> Iterator[Mapping[str, float]]:
        return self

    def __next__(self) -> Mapping[str, float]:
        raise AssertionError("it is not a generator")


def test_a_class_that_is_an_iterator_too_is_trained_by_its_step() -> None:
    assert steps(build(Iterable, CONFIG, None, None, "cpu"), 2) == steps(Parabola(CONFIG), 2)


def test_the_class_form_may_have_defaults_of_its_own() -> None:
    assert build(Parabola, CONFIG, None, None, "cpu").step() == Parabola(CONFIG).step()


@pytest.mark.parametrize(
    "value", ["low", "0.5", b"1", None, [1.0, 2.0], torch.ones(2), torch.ones(0), np.ones(2), {"a": 1}, 1j]
)
@pytest.mark.parametrize("form", ["class", "generator"])
def test_a_metric_that_is_no_number_is_a_task_error_in_one_line(value: Any, form: str, tmp_path: Path) -> None:
    class Net(Parabola):
        def step(self) -> Mapping[str, float]:
            return {"val_loss": 0.5, "val_accuracy": value}

    def generator(config: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        while True:
            yield {"val_loss": 0.5, "val_accuracy": value}

    with pytest.raises(TaskError, match=r"^the metric val_accuracy is [^\n]+: it must be a number$"):
        train(Net if form == "class" else generator, tmp_path)


@pytest.mark.parametrize("value", [0.5, True, 1, np.float32(0.5), np.array(0.5), torch.tensor(0.5), torch.ones(1)])
def test_numbers_of_each_kind_are_metrics(value: Any, tmp_path: Path) -> None:
    def generator(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        while True:
            yield {"val_loss": value}

    report = train(generator, tmp_path)
    assert report.metrics == {"val_loss": float(value)}
