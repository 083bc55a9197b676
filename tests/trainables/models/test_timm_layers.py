"""The learning rate and weight decay of each parameter, beside those that timm computes for the same network."""

import importlib
import importlib.util
from typing import Any

import pytest
import torch
from torch import nn

from trainables import vision
from trainables.hyperparameters import Config
from trainables.models import timm
from trainables.trainable import TransferModel
from trainables.training import parameter_groups

vision.torchvision()  # which timm imports
library: Any = importlib.import_module("timm") if importlib.util.find_spec("timm") else None
optim: Any = importlib.import_module("timm.optim") if library else None
pytestmark = pytest.mark.skipif(library is None, reason="timm is an extra")

LR, DECAY = 3e-4, 0.05
SIDE = 64
NETWORKS = ["test_vit", "test_convnext", "test_resnet"]
MORE_NETWORKS = [
    "vit_tiny_patch16_224",
    "eva02_tiny_patch14_224",
    "swin_tiny_patch4_window7_224",
    "convnext_atto",
    "resnet50",
    "efficientnet_b0",
    "mixer_s32_224",
]


def ours(name: str, frozen: int = 0) -> tuple[TransferModel, dict[str, str]]:
    """The network as a TransferModel with its first stages frozen, and timm's name of each parameter."""
    variant, shape = timm.variant(name), (3, SIDE, SIDE)
    config: Config = {}
    model = variant.build(config, shape=shape, n_classes=5, weights="none")
    model.freeze(list(model.stages)[:frozen])
    plain = variant.plain_network(config, model, shape=shape, n_classes=5)
    names = plain.to_plain({own: own for own, _ in model.named_parameters()})
    return model, {own: name for name, own in names.items()}


def theirs(name: str) -> nn.Module:
    sides = {"img_size": SIDE} if timm.variant(name).fixed_size else {}
    with torch.device("meta"):
        network: nn.Module = library.create_model(name, num_classes=5, **sides)
    return network


def settings_by_name(groups: list[Any], names: dict[int, str]) -> dict[str, tuple[float, float]]:
    """The learning rate and the weight decay of each parameter by its name. `names` has them by their ids."""
    if not isinstance(groups[0], dict):
        groups = [{"params": groups}]
    return {
        names[id(parameter)]: (group.get("lr", LR * group.get("lr_scale", 1.0)), group.get("weight_decay", DECAY))
        for group in groups
        for parameter in group["params"]
    }


def check_like_timm(name: str, layer_decay: float) -> None:
    model, timm_names = ours(name)
    names = {id(parameter): timm_names[own] for own, parameter in model.named_parameters()}
    network = theirs(name)
    timm_parameters = {id(parameter): name for name, parameter in network.named_parameters()}
    declared: set[str] = getattr(network, "no_weight_decay", set)()

    def check(config: Config, expected: list[Any]) -> dict[str, tuple[float, float]]:
        found = settings_by_name(parameter_groups.build({"decay_norms": False, **config}, model, LR), names)
        assert found == settings_by_name(expected, timm_parameters)
        assert len({decay for _, decay in found.values()}) == 2
        return found

    check({}, optim.param_groups_weight_decay(network, DECAY, no_weight_decay_list=declared))
    found = check(
        {"layer_decay": layer_decay},
        optim.param_groups_layer_decay(network, DECAY, no_weight_decay_list=declared, layer_decay=layer_decay),
    )
    assert len({rate for rate, _ in found.values()}) > 3


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_has_the_rate_and_the_weight_decay_that_timm_gives_it(name: str) -> None:
    check_like_timm(name, 0.75)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_NETWORKS)
def test_so_it_is_in_larger_networks_of_many_families(name: str) -> None:
    check_like_timm(name, 0.65)


def test_frozen_stages_do_not_change_the_rates_of_the_others() -> None:
    rates = []
    for frozen in (0, 3):
        model, timm_names = ours("test_resnet", frozen)
        names = {id(parameter): timm_names[own] for own, parameter in model.named_parameters()}
        rates.append(settings_by_name(parameter_groups.build({"layer_decay": 0.5}, model, LR), names))
    whole, partial = rates
    assert 0 < len(partial) < len(whole)
    assert partial == {name: whole[name] for name in partial}
