"""The evaluation of any trainable: in one pass where its class allows it, with the figures of two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables import toys
from trainables.data.dataset import Part, SearchData
from trainables.errors import SetupError
from trainables.regimes import from_scratch, pretrain_then_head
from trainables.seeding import seed_everything
from trainables.training.cross_validation import CrossValidation
from trainables.training.evaluation import evaluate

CONFIG = {"lr": 0.01, "pretrain_epochs": 1}


class WithoutPredictions:
    """A trainable that predicts nothing."""

    def step(self) -> Mapping[str, float]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def evaluate(self, part: Part) -> Mapping[str, float]:
        return {"loss": 1.0, "accuracy": 0.5}


class Fixed(WithoutPredictions):
    """A trainable that gives fixed probabilities."""

    def __init__(self, probabilities: list[list[float]]) -> None:
        self.probabilities = torch.tensor(probabilities)

    def predict(self, part: Part) -> Tensor:
        return self.probabilities


class Wrapper:
    """A trainable around another one, which changes the accuracy."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def evaluate(self, part: Part) -> Mapping[str, float]:
        return {**self.inner.evaluate(part), "accuracy": -1.0}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def part(n: int) -> Part:
    return Part(torch.rand(n, 1, 8, 8), torch.zeros(n, dtype=torch.int64))


def built(build: Any) -> Any:
    seed_everything(0)
    return build(CONFIG, toys.model(), toys.data(), "cpu")


def folds() -> Any:
    seed_everything(0)
    data = [SearchData(toys.part(60, seed), toys.part(24, seed + 9), toys.CLASSES) for seed in range(2)]
    return CrossValidation([from_scratch.build(CONFIG, toys.model(), each, "cpu") for each in data])


@pytest.mark.parametrize("name", ["one", "phases", "folds"])
def test_one_pass_gives_exactly_the_figures_of_evaluate_and_predict(name: str) -> None:
    trainable = {"one": lambda: built(from_scratch.build), "phases": lambda: built(pretrain_then_head.build)}.get(
        name, folds
    )()
    trainable.step()
    held_out = toys.part(300, seed=7)
    found = evaluate(trainable, held_out, len(toys.CLASSES))
    assert found.metrics == trainable.evaluate(held_out)
    assert found.probabilities is not None
    assert torch.equal(found.probabilities, trainable.predict(held_out))


@pytest.mark.parametrize("name", ["one", "phases"])
def test_the_network_runs_once_for_each_image(name: str) -> None:
    trainable = built({"one": from_scratch.build, "phases": pretrain_then_head.build}[name])
    n_images = 0

    def count(module: Any, inputs: tuple[Tensor, ...]) -> None:
        nonlocal n_images
        n_images += len(inputs[0])

    trainable.model.head.register_forward_pre_hook(count)
    evaluate(trainable, toys.part(300, seed=7), len(toys.CLASSES))
    assert n_images == 300


def test_an_evaluate_that_a_wrapper_a_subclass_or_an_instance_changes_counts() -> None:
    inner, changed = built(from_scratch.build), built(from_scratch.build)

    class Subclass(type(inner)):  # type: ignore[misc]
        evaluate = Wrapper.evaluate
        inner = built(from_scratch.build)

    subclass = built(from_scratch.build)
    subclass.__class__ = Subclass
    changed.evaluate = Wrapper(inner).evaluate
    for trainable in (Wrapper(inner), subclass, changed):
        found = evaluate(trainable, toys.part(30, seed=7), len(toys.CLASSES))
        assert found.metrics["accuracy"] == -1.0
        assert found.probabilities is not None


def test_a_trainable_that_does_not_predict_has_no_probabilities() -> None:
    assert evaluate(WithoutPredictions(), part(1), 1).probabilities is None
    assert evaluate(CrossValidation([Fixed([[1.0]]), WithoutPredictions()]), part(1), 1).probabilities is None


def test_probabilities_of_another_shape_are_refused() -> None:
    with pytest.raises(SetupError, match=r"returned shape \(1, 2\); needed is \(1, 3\): images, classes"):
        evaluate(Fixed([[0.5, 0.5]]), part(1), 3)


def test_folds_predict_the_mean_of_their_probabilities() -> None:
    both = CrossValidation([Fixed([[1.0, 0.0]]), Fixed([[0.5, 0.5]])])
    assert both.predict(part(1)).tolist() == [[0.75, 0.25]]
    found = evaluate(both, part(1), 2).probabilities
    assert found is not None
    assert found.tolist() == [[0.75, 0.25]]
