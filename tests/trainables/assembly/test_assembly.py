"""The Assembly: which part of a task it misses, and what it builds of a data set, a model and a regime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.assembly import Assembly
from trainables.data.preprocessing import Validation
from trainables.errors import SetupError
from trainables.hyperparameters import Config
from trainables.training.cross_validation import CrossValidation
from trainables.training.gradient_descent import Training

CONFIG: Config = {"lr": 0.05, "batch_size": 64}


@dataclass(frozen=True)
class Named:
    """A data set, by its name."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    merged_classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    looked_in: Sequence[str] = ()

    @property
    def plugin(self) -> str:
        return self.name


@dataclass(frozen=True)
class Task:
    """A task without any error. Each test changes some of its fields."""

    regime: str | None = "from_scratch"
    model: str | None = "softmax_regression"
    weights: str = "none"
    dataset: Named | None = Named("digits")
    pretraining: Named | None = None
    validation: Validation = field(default_factory=lambda: Validation(0.25, None, 0))


def load(package: str, name: str) -> Any:
    return import_module(f"{package}.{name}")


def assembly(root: Path, **task: Any) -> Assembly:
    return Assembly(Task(**task), load, root, "cpu")


def test_a_model_without_a_data_set_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    message = "regime from_scratch, model softmax_regression: the model .* needs a data set: `task.dataset` names none"
    with pytest.raises(SetupError, match=message):
        assembly(tmp_path, dataset=None).build(CONFIG, 0)


def test_imagenet_weights_that_a_model_does_not_have_are_an_error(tmp_path: Path) -> None:
    built = assembly(tmp_path, regime="linear_probe", model="small_cnn", weights="imagenet")
    with pytest.raises(SetupError, match=r"`task\.weights`: there are no ImageNet weights of the model 'small_cnn'"):
        built.build(CONFIG, 0)


def test_a_task_without_a_data_set_has_no_data(tmp_path: Path) -> None:
    assert list(assembly(tmp_path, dataset=None).search_data(CONFIG)) == [None]


def test_the_training_that_is_built_learns_and_follows_from_the_seed(tmp_path: Path) -> None:
    built = assembly(tmp_path)
    losses = []
    for seed in (0, 0, 1):
        training = built.build(CONFIG, seed)
        losses.append([training.step()["val_loss"] for _ in range(3)])
    assert losses[0] == losses[1] != losses[2]
    assert losses[0][-1] < losses[0][0]


def test_the_configuration_names_the_regime_and_the_model_if_the_task_does_not(tmp_path: Path) -> None:
    built = assembly(tmp_path, regime=None, model=None)
    for model in ("softmax_regression", "small_cnn"):
        training = built.build({**CONFIG, "regime": "from_scratch", "model": model}, 0)
        assert 0 < training.step()["val_accuracy"] <= 1


def test_with_folds_one_training_for_each_is_built(tmp_path: Path) -> None:
    built = assembly(tmp_path, validation=Validation(None, 3, 0))
    training = built.build(CONFIG, 0)
    assert isinstance(training, CrossValidation)
    assert len(training.trainings) == len(built.search_data(CONFIG)) == 3


def test_class_weights_count_the_images_of_the_fold_that_is_trained_on(tmp_path: Path) -> None:
    built = assembly(tmp_path, validation=Validation(None, 3, 0))
    config: Config = {**CONFIG, "class_weights": "balanced"}
    training = built.build(config, 0)
    assert isinstance(training, CrossValidation)
    for one, data in zip(training.trainings, built.search_data(config), strict=True):
        assert isinstance(one, Training)
        assert data is not None
        counts = data.train.labels.bincount()
        assert one.classifier_loss is not None
        assert one.classifier_loss.class_weights is not None
        torch.testing.assert_close(one.classifier_loss.class_weights, len(data.train) / (10 * counts))


def test_the_data_set_is_prepared_once(tmp_path: Path) -> None:
    loaded = []

    def counting(package: str, name: str) -> Any:
        loaded.append(name)
        return load(package, name)

    built = Assembly(Task(), counting, tmp_path, "cpu")
    for seed in range(3):
        built.build(CONFIG, seed)
    assert loaded.count("digits") == 1


def test_the_held_out_part_has_the_image_format_and_the_groups_of_the_training_part(tmp_path: Path) -> None:
    halves = {"low": tuple("01234"), "high": tuple("56789")}
    built = assembly(tmp_path, dataset=Named("digits", merged_classes=halves))
    config = {**CONFIG, "image_size": 4}
    (data,) = built.search_data(config)
    assert data is not None
    held_out = built.held_out(lambda dataset: dataset.held_out(), config)
    assert data.classes == ("low", "high")
    assert held_out.shape == data.train.shape == (1, 4, 4)
    assert set(held_out.labels.tolist()) == {0, 1}


def test_own_code_takes_the_place_of_the_regime(tmp_path: Path) -> None:
    received: list[Any] = []

    class Own:
        def __init__(self, *arguments: Any) -> None:
            received.extend(arguments)

    built = Assembly(Task(regime=None), load, tmp_path, "cpu", code=Own)  # type: ignore[arg-type]
    assert isinstance(built.build(CONFIG, 0), Own)
    config, model, data, device = received
    assert (config, device) == (CONFIG, "cpu")
    assert model(data.train.batch(slice(2))).shape == (2, 10)
