"""Own training code in each form, right and wrong."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch


class Parabola:
    """The class form: it falls towards the distance of `x` from 0.3."""

    def __init__(self, config: Mapping[str, Any], steepness: float = 1.0) -> None:
        self.x, self.steepness, self.epoch = config["x"], steepness, 0

    def step(self) -> Mapping[str, float]:
        self.epoch += 1
        return {"val_loss": self.steepness * (self.x - 0.3) ** 2 + 1 / self.epoch}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]


class Noise:
    """It draws from the random states of the process, in each epoch."""

    def __init__(self, config: Mapping[str, Any]) -> None: ...

    def step(self) -> Mapping[str, float]:
        return {"val_loss": random.random() + float(np.random.random()) + float(torch.rand(()))}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def crash_after_a_draw(config: Mapping[str, Any]) -> Noise:
    Noise(config).step()
    raise ValueError("told to crash")


def steeper(config: Mapping[str, Any]) -> Parabola:
    return Parabola(config, steepness=2.0)


def epochs(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """The generator form of the same."""
    epoch = 0
    while True:
        epoch += 1
        yield {"val_loss": (config["x"] - 0.3) ** 2 + 1 / epoch}


def constant(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    while True:
        yield {"val_loss": 1.0}


FORMS: dict[str, Callable[..., Any]] = {
    "class": Parabola,
    "generator": epochs,
    "lambda": lambda config: Parabola(config),
    "lambda of four": lambda config, model, data, device: Parabola(config),
}


def accuracy(config: Mapping[str, Any]) -> float:
    return 0.93


def accuracies(config: Mapping[str, Any]) -> Iterator[float]:
    while True:
        yield 0.93


def val_accuracies(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    while True:
        yield {"val_accuracy": 0.93}


class Stateless:
    def __init__(self, config: Mapping[str, Any]) -> None: ...

    def step(self) -> Mapping[str, float]:
        return {"val_loss": 1.0}


class Number(Parabola):
    def step(self) -> float:  # type: ignore[override]
        return 0.93


class Word(Parabola):
    def step(self) -> Mapping[str, Any]:
        return {"val_loss": 0.5, "val_accuracy": "low"}


def words(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        yield {"val_loss": 0.5, "val_accuracy": "low"}


def two(config: Mapping[str, Any], model: object) -> Parabola:
    return Parabola(config)


WRONG: list[tuple[Callable[..., Any], str]] = [
    (accuracy, "the trainable accuracy returned 0.93: it must be a class with the methods step"),
    (accuracies, "yielded 0.93; it must yield metrics, as {'val_loss': 0.5}"),
    (val_accuracies, "returned no 'val_loss', but val_accuracy"),
    (Stateless, "the trainable Stateless has no method `state_dict`"),
    (Number, "step() of the trainable returned 0.93; it must return metrics"),
    (Word, "the metric val_accuracy is 'low': it must be a number"),
    (words, "the metric val_accuracy is 'low': it must be a number"),
    (two, "the trainable two takes (config, model); it must take config, or config, model, data, device"),
]


def holding_a_lock() -> Callable[..., Any]:
    lock = threading.Lock()

    def build(config: Mapping[str, Any]) -> Parabola:
        with lock:
            return Parabola(config)

    return build


def line(config: Mapping[str, Any], epoch: int) -> Mapping[str, float]:
    """The learning curve of a configuration."""
    return {"val_loss": (float(config["x"]) - 0.3) ** 2 + 1 / epoch}
