"""Networks of timm as stages: one small network of each family, with random weights."""

import importlib.util
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables import vision
from trainables.data.dataset import Part
from trainables.features import feature_cache, fingerprint
from trainables.models import _timm_stages
from trainables.trainable import TransferModel

vision.torchvision()  # which timm imports
library: Any = importlib.import_module("timm") if importlib.util.find_spec("timm") else None
pytestmark = pytest.mark.skipif(library is None, reason="timm is an extra")

N_IMAGES, SIDE = 3, 32
TOKENS = {"img_size": SIDE, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
WINDOWS = {"img_size": SIDE, "patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": (1, 2), "num_heads": (2, 4)}
STAGES = {"depths": (1, 2, 1, 1), "dims": (8, 12, 16, 20)}
BLOCKS = ("blocks_0", "blocks_1")
GROUPS = tuple(f"stages_{i}" for i in range(4))


class Family(NamedTuple):
    name: str
    options: dict[str, Any]
    joints: tuple[str, ...]
    """The names of the stages between the stem and the last."""


FAMILIES = [
    Family("vit_tiny_patch16_224", TOKENS, BLOCKS),
    Family("vit_small_patch14_reg4_dinov2", TOKENS, BLOCKS),
    Family("swin_tiny_patch4_window7_224", WINDOWS, ("layers_0", "layers_1")),
    Family("convnext_atto", STAGES, GROUPS),
    Family("test_efficientnet", {}, tuple(f"blocks_{i}" for i in range(5))),
    Family("vit_small_patch16_dinov3", TOKENS, BLOCKS),
]
MORE_FAMILIES = [
    Family("deit_tiny_distilled_patch16_224", TOKENS, BLOCKS),
    Family("deit3_small_patch16_224", TOKENS, BLOCKS),
    Family("beit_base_patch16_224", TOKENS, BLOCKS),
    Family("eva02_tiny_patch14_224", TOKENS, BLOCKS),
    Family("swinv2_tiny_window8_256", WINDOWS, ("layers_0", "layers_1")),
    Family("convnextv2_atto", STAGES, GROUPS),
    Family("mobilenetv3_small_050", {}, tuple(f"blocks_{i}" for i in range(6))),
    Family("mixer_s16_224", {"img_size": SIDE}, tuple(f"blocks_{i}" for i in range(8))),
    Family("resmlp_12_224", {"img_size": SIDE}, tuple(f"blocks_{i}" for i in range(12))),
    Family("gmlp_ti16_224", {"img_size": SIDE}, tuple(f"blocks_{i}" for i in range(30))),
    Family("test_resnet", {}, tuple(f"layer{i}" for i in range(1, 5))),
    Family("regnety_002", {}, tuple(f"s{i}" for i in range(1, 5))),
    Family("cait_xxs24_224", TOKENS, BLOCKS),
    # A function of its own drops features at the end.
    Family("ghostnet_050", {"drop_path_rate": None}, tuple(f"blocks_{i}" for i in range(10))),
]
families = pytest.mark.parametrize(
    "family",
    [*FAMILIES, *(pytest.param(family, marks=pytest.mark.slow) for family in MORE_FAMILIES)],
    ids=lambda family: family.name,
)


def images(n: int = N_IMAGES) -> Tensor:
    return torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@cache
def built(name: str) -> tuple[nn.Module, dict[str, nn.Module]]:
    """A network with drop path, and its stages, which share its weights. No scale or bias is zero."""
    family = next(family for family in [*FAMILIES, *MORE_FAMILIES] if family.name == name)
    torch.manual_seed(0)
    network = library.create_model(name, **{"num_classes": 0, "drop_path_rate": 0.4, **family.options})
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.05 * torch.randn(parameter.shape))
        return network, _timm_stages.split(network.eval(), images(1))


def run(stages: dict[str, nn.Module], values: Tensor) -> Tensor:
    for stage in stages.values():
        values = stage(values)
    return values


def model_of(family: Family) -> TransferModel:
    network, stages = built(family.name)
    n_features = network.eval()(images(1)).shape[1]
    return TransferModel(stages, nn.Linear(n_features, 2))


@families
@torch.no_grad()
def test_the_stages_give_the_output_of_the_network_bit_for_bit(family: Family) -> None:
    network, stages = built(family.name)
    assert tuple(stages) == ("stem", *family.joints, "last")
    network.eval()
    values = images()
    for stage in stages.values():
        before = values.clone()
        given, values = values, stage.eval()(values)
        assert torch.equal(given, before)
        assert values.shape[0] == N_IMAGES
    assert torch.equal(values, network(images()))


@families
def test_in_training_mode_the_stages_draw_and_learn_what_the_network_does(family: Family) -> None:
    network, stages = built(family.name)
    network.train()
    nn.ModuleDict(stages).train().requires_grad_()
    found = []
    for forward in (network, lambda values: run(stages, values)):
        torch.manual_seed(2)
        output = forward(images())
        network.zero_grad()
        output.square().sum().backward()
        gradients = {key: each.grad.clone() for key, each in network.named_parameters() if each.grad is not None}
        found.append((output.detach(), gradients, torch.rand(1)))
    (one, gradients, drawn), (other, others, drawn_too) = found
    assert torch.equal(one, other)
    assert torch.equal(drawn, drawn_too)
    assert gradients.keys() == others.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(others[key], gradient, msg=key)
    with torch.no_grad():
        assert not torch.equal(network.eval()(images()), one)  # drop path was on


@families
def test_frozen_first_stages_stay_as_they_are_and_the_others_train(family: Family) -> None:
    model = deepcopy(model_of(family)).train()
    names = list(model.stages)
    model.freeze(names[:2])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    functional.cross_entropy(model(images()), torch.tensor([0, 1, 0])).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    frozen = tuple(f"stages.{name}." for name in names[:2])
    assert not any(key.startswith(frozen) for key in changed)
    assert {key.split(".")[1] for key in changed if key.startswith("stages.")} >= {family.joints[-1]}


@families
@torch.no_grad()
def test_features_that_are_cached_at_any_depth_give_the_same_logits(family: Family) -> None:
    model = model_of(family).eval()
    part = Part(images(), torch.tensor([0, 1, 0]))
    cache, expected = feature_cache.FeatureCache(2**24), model(images())
    for depth in range(1, len(model.stages) + 1):
        features = cache.get(model, part, depth, fingerprint.of_stages(model, depth)).values
        logits = model.head(model.run_stages(features, depth, len(model.stages)))
        assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert all(fingerprint.is_reproducible(stage) for stage in model.stages.values())


@families
def test_the_names_lead_to_the_keys_of_the_network(family: Family) -> None:
    network, stages = built(family.name)
    names = _timm_stages.names(network, list(stages))
    state = nn.ModuleDict({"stages": nn.ModuleDict(stages)}).state_dict()
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        (prefix,) = [prefix for prefix in names if key.startswith(prefix)]
        found[names[prefix] + key.removeprefix(prefix)] = value
    expected = network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_the_rate_of_drop_path_changes_no_fingerprint_because_frozen_stages_have_none() -> None:
    def of(rate: float) -> str:
        torch.manual_seed(0)
        network = library.create_model("vit_tiny_patch16_224", num_classes=0, drop_path_rate=rate, **TOKENS)
        stages = _timm_stages.split(network.eval(), images(1))
        return fingerprint.of_stages(TransferModel(stages, nn.Linear(24, 2)), len(stages))

    assert of(0.0) == of(0.4)


class Residual(nn.Module):
    """Two blocks whose input is used again at the end, so that two tensors flow between them."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4)) for _ in range(2)))

    def forward(self, values: Tensor) -> Tensor:
        blocks: Tensor = self.blocks(values)
        return values + blocks


class Counting(Residual):
    """Two blocks, and a calculation with the number of images at the end."""

    def forward(self, values: Tensor) -> Tensor:
        n = values.shape[0]
        blocks: Tensor = self.blocks(values)
        return blocks * n


class Moody(Residual):
    """Two blocks that are called in another order in training mode."""

    def forward(self, values: Tensor) -> Tensor:
        one, other = self.blocks if self.training else reversed(self.blocks)
        blocks: Tensor = other(one(values))
        return blocks * 2


class Sharing(Residual):
    """Two blocks that share a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks.append(self.blocks[0])

    def forward(self, values: Tensor) -> Tensor:
        blocks: Tensor = self.blocks(values)
        return blocks * 2


@pytest.mark.parametrize("network", [Residual(), Counting(), Moody(), Sharing()], ids=lambda each: type(each).__name__)
def test_a_network_stays_whole_where_its_stages_could_not_do_the_same(network: nn.Module) -> None:
    image = torch.rand(1, 2, 3, 4)
    attributes = set(vars(network))
    assert _timm_stages.split(network.eval(), image) == {"network": network}
    assert set(vars(network)) == attributes
    assert not network.training
