import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables import toys
from tests.trainables.states import identical, loaded, saved
from trainables import vision
from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.inference import trained
from trainables.regimes import contrastive, pretrain_then_head, probe_then_fine_tune
from trainables.seeding import seed_everything
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent
from trainables.training.epochs import BatchResult
from trainables.training.gradient_descent import Training
from trainables.training.uncompiled_optimizers import SGD
from trainables.training.weight_average import WeightAverage


def build(config: Config | None = None, *, frozen: tuple[str, ...] = ()) -> Training:
    seed_everything(5)
    model = toys.model()
    model.freeze(frozen)
    return gradient_descent.build({"lr": 0.02, "batch_size": 16, **(config or {})}, model, toys.data(), "cpu")


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is an extra")
def test_the_average_is_that_of_timm_number_by_number() -> None:
    vision.torchvision()
    model_ema: Any = importlib.import_module("timm.utils.model_ema")
    torch.manual_seed(0)
    model = toys.model()
    average, theirs = WeightAverage(model, 0.9), model_ema.ModelEmaV3(model, decay=0.9)
    optimizer = SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        model(toys.data().train.images).square().mean().backward()
        optimizer.step()
        average.update()
        theirs.update(model)
    assert identical(dict(average.model.state_dict()), dict(theirs.module.state_dict()))
    assert not identical(dict(average.model.state_dict()), dict(model.state_dict()))


def test_it_is_updated_after_each_step_and_is_what_is_validated_predicted_and_written() -> None:
    model, updates = toys.model(), list[int]()
    model.freeze(())
    reference = WeightAverage(model, 0.8)
    optimization = gradient_descent.build({"ema": 0.8, "batch_size": 40}, model, toys.data(), "cpu").optimization

    def objective(*arguments: Any) -> BatchResult:
        if updates:  # a step was made since the batch before
            reference.update()
        updates.append(1)
        return optimization.objective(*arguments)

    made = Training(model, toys.data(), replace(optimization, objective=objective), "cpu")
    metrics = made.step()
    reference.update()
    assert len(updates) == 3
    assert identical(state(made.model), state(reference.model))
    assert trained.models(made) == [made.model]
    validation = toys.data().validation
    plain = gradient_descent.build({}, reference.model, toys.data(), "cpu")
    assert metrics["val_loss"] == pytest.approx(plain.evaluate(validation)["loss"])
    assert torch.equal(made.predict(validation), plain.predict(validation))
    assert made.validation_logits is not None
    torch.testing.assert_close(made.validation_logits.softmax(dim=1).cpu(), plain.predict(validation))


def test_the_average_does_not_change_how_the_weights_train() -> None:
    plain, averaged = build(), build({"ema": 0.9})
    for _ in range(2):
        plain.step()
        averaged.step()
    assert identical(state(plain.model), state(averaged.trained_model))
    assert not identical(state(plain.model), state(averaged.model))


def test_frozen_stages_are_shared_and_the_others_are_not() -> None:
    made = build({"ema": 0.9}, frozen=("first",))
    made.step()
    assert made.model.stages["first"] is made.trained_model.stages["first"]
    assert not [name for name in made.state_dict()["average"] if name.startswith("stages.first")]
    ours = {parameter.data_ptr() for parameter in made.model.stages["second"].parameters()}
    assert ours.isdisjoint(parameter.data_ptr() for parameter in made.trained_model.stages["second"].parameters())


def pretraining(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    return pretrain_then_head.build({"pretrain_epochs": 2, "pretrain_lr": 0.01, **config}, model, data, device)


def probing(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    return probe_then_fine_tune.build({"probe_epochs": 2, "probe_lr": 0.05, **config}, model, data, device)


def encoding(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    return contrastive.build({"encoder_epochs": 2, "encoder": "fine_tune", **config}, model, data, device)


def in_phases(build: Any, config: Config | None = None) -> Any:
    seed_everything(7)
    return build({"lr": 0.01, "batch_size": 16, "ema": 0.7, **(config or {})}, toys.pretrained(), toys.data(), "cpu")


@pytest.mark.parametrize("build", [pretraining, probing, encoding])
def test_training_in_phases_goes_on_exactly_from_any_epoch(build: Any) -> None:
    unbroken = in_phases(build)
    files, epochs = [saved(unbroken)], []
    for _ in range(4):
        epochs.append(unbroken.step())
        files.append(saved(unbroken))
    for done in (1, 3):
        resumed = in_phases(build)
        resumed.load_state_dict(loaded(files[done]))
        assert identical(loaded(saved(resumed)), loaded(files[done]))
        assert [resumed.step() for _ in epochs[done:]] == epochs[done:]
    assert identical(loaded(saved(resumed)), loaded(files[-1]))


@pytest.mark.parametrize("build", [pretraining, probing, encoding])
def test_a_phase_begins_with_the_average_of_the_one_before(build: Any) -> None:
    made = in_phases(build, {"lr": 1e-30, "optimizer": "sgd"})
    made.step()
    made.step()
    before = state(made.model.stages)
    made.begin_next_phase()
    assert identical(state(made.model.stages), before)


def test_the_metrics_of_a_pretraining_are_those_of_the_averaged_stages() -> None:
    made = in_phases(pretraining)
    metrics: Mapping[str, float] = made.step()
    with torch.no_grad():
        logits = made.model.eval()(toys.data().validation.images)
    expected = nn.functional.cross_entropy(logits, toys.data().validation.labels)
    assert metrics["val_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_a_pretraining_validates_the_average_of_stages_that_begin_to_train_later() -> None:
    made = in_phases(pretraining, {"unfreeze_every": 1})
    before = state(made.model.stages["fc"])
    made.step()
    assert identical(state(made.model.stages["fc"]), before)
    made.step()
    assert not identical(state(made.model.stages["fc"]), before)


@pytest.mark.parametrize("value", [0, 1, 1.5, "much"])
def test_a_decay_that_is_not_between_0_and_1_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="`ema` must be"):
        build({"ema": value})
