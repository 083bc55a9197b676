from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.trainables import toys
from tests.trainables.states import identical
from trainables.hyperparameters import Config
from trainables.seeding import seed_everything
from trainables.trainable import TransferModel
from trainables.training import gradient_descent, parameter_groups
from trainables.training.gradient_descent import Training

LR = 0.1


def found_settings(config: Config, model: TransferModel) -> dict[str, tuple[float, float | None]]:
    """The learning rate and the own weight decay of each parameter that trains, by its name."""
    groups: Any = parameter_groups.build(config, model, LR)
    if not isinstance(groups[0], dict):
        groups = [{"params": groups}]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group.get("lr", LR), group.get("weight_decay"))
        for group in groups
        for parameter in group["params"]
    }


def rates(config: Config, model: TransferModel) -> dict[str, float]:
    """The learning rate of each stage that trains, and of the head."""
    return {
        name.split(".")[1] if name.startswith("stages.") else "head": rate
        for name, (rate, _) in found_settings(config, model).items()
    }


def test_by_default_all_that_trains_is_alike_and_needs_no_groups() -> None:
    model = toys.pretrained()
    model.freeze(["first"])
    parameters = parameter_groups.build({}, model, LR)
    assert list(map(id, parameters)) == [id(each) for each in model.parameters() if each.requires_grad]


@settings(max_examples=25)
@given(st.floats(0.01, 100), st.floats(0.01, 1), st.sets(st.sampled_from(["first", "fc"])))
def test_rates_fall_from_stage_to_stage_whatever_is_frozen(
    head_lr: float, layer_decay: float, frozen: set[str]
) -> None:
    model = toys.pretrained()
    model.freeze(frozen)
    expected = {name: LR * layer_decay ** (3 - i) for i, name in enumerate(("first", "second", "fc"))}
    expected["head"] = LR * head_lr
    found = rates({"head_lr": head_lr, "layer_decay": layer_decay}, model)
    assert found == pytest.approx({name: rate for name, rate in expected.items() if name not in frozen})


def test_a_stage_without_weights_is_no_layer() -> None:
    stages = {"flat": nn.Flatten(), "one": nn.Linear(4, 4), "relu": nn.ReLU(), "two": nn.Linear(4, 4)}
    model = TransferModel(stages, nn.Linear(4, 2))
    assert rates({"layer_decay": 0.5}, model) == {"one": LR / 4, "two": LR / 2, "head": LR}


def test_layers_that_a_model_names_come_before_its_stages() -> None:
    stages = {"one": nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), "two": nn.Linear(4, 4)}
    layers = {"stages.one.0.weight": 0, "stages.one.1.weight": 1, "head": 3}
    model = TransferModel(stages, nn.Linear(4, 2), layers=layers)
    numbers = model.layer_numbers()
    assert numbers["stages.one.0.weight"] == 0
    assert numbers["stages.one.0.bias"] == 1, "a parameter that is not named belongs to the last layer of its stage"
    assert numbers["stages.two.weight"] == numbers["head.weight"] == 3, "or to that of the head"


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.ones(1, 4, 2))
        self.token = nn.Parameter(torch.ones(1, 1, 2))
        self.mix = nn.Linear(2, 2)
        self.norm = nn.LayerNorm(2)

    def no_weight_decay(self) -> set[str]:
        return {"tok*"}


def test_norms_biases_positions_and_what_the_network_declares_are_without_weight_decay() -> None:
    model = TransferModel({"one": Attention()}, nn.Linear(2, 2), undecayed=["head.weight"])
    found = found_settings({"decay_norms": False}, model)
    assert {name for name, (_, decay) in found.items() if decay is None} == {"stages.one.mix.weight"}
    assert {decay for name, (_, decay) in found.items() if name != "stages.one.mix.weight"} == {0.0}
    assert {decay for _, decay in found_settings({}, model).values()} == {None}


def training(config: Config) -> Training:
    seed_everything(3)
    model = toys.model()
    model.freeze(())
    return gradient_descent.build({"lr": 0.05, "batch_size": 16, **config}, model, toys.data(), "cpu")


def test_a_schedule_scales_each_rate_and_training_goes_on_exactly() -> None:
    config: Config = {
        "optimizer": "sgd",
        "momentum": 0.9,
        "weight_decay": 0.01,
        "head_lr": 4.0,
        "layer_decay": 0.5,
        "decay_norms": False,
        "step_size": 1,
        "gamma": 0.5,
    }
    unbroken, paused = training(config), training(config)
    expected = [unbroken.step() for _ in range(2)]
    assert {group["lr"] for group in unbroken.optimization.optimizer.param_groups} == {0.1, 0.1 / 8, 0.1 / 16}
    paused.step()
    resumed = training(config)
    resumed.load_state_dict(paused.state_dict())
    assert resumed.step() == expected[1]
    assert identical(resumed.state_dict(), unbroken.state_dict())


def test_without_decay_a_bias_moves_only_by_its_gradient() -> None:
    config: Config = {"optimizer": "sgd", "lr": 1e-12, "weight_decay": 1e11, "decay_norms": False}
    made = training(config)
    before = {name: value.clone() for name, value in made.model.named_parameters()}
    made.step()
    changed = {name for name, value in made.model.named_parameters() if not torch.allclose(value, before[name])}
    assert changed == {name for name, value in before.items() if value.ndim > 1}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"head_lr": 0}, "`head_lr` must be above 0, but is 0"),
        ({"layer_decay": 1.5}, "`layer_decay` must be above 0 and at most 1, but is 1.5"),
        ({"decay_norms": "no"}, "`decay_norms` must be true or false, but is 'no'"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training(config)
