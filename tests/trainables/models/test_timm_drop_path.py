import importlib.util
from typing import Any

import pytest
from torch import nn

from trainables import vision
from trainables.errors import SetupError
from trainables.models import timm

vision.torchvision()  # which timm imports
library: Any = importlib.import_module("timm") if importlib.util.find_spec("timm") else None
pytestmark = pytest.mark.skipif(library is None, reason="timm is an extra")


def rates(network: nn.Module) -> list[float]:
    paths: list[Any] = [module for module in network.modules() if type(module).__name__ == "DropPath"]
    return [path.drop_prob for path in paths]


def test_the_blocks_have_the_rates_that_timm_gives_them() -> None:
    model = timm.variant("test_vit").build({"drop_path": 0.3}, shape=(3, 160, 160), n_classes=2, weights="none")
    expected = rates(library.create_model("test_vit", drop_path_rate=0.3))
    assert rates(model) == expected
    assert expected[-1] == pytest.approx(0.3)
    model.freeze(list(model.stages)[:-2])
    dropping = [module for module in model.modules() if type(module).__name__ == "DropPath" and module.training]
    assert len(dropping) == 2  # those of the only block that trains


@pytest.mark.slow
def test_without_the_key_a_network_keeps_the_rates_of_timm() -> None:
    name = "swin_tiny_patch4_window7_224"
    for config, n in (({}, 11), ({"drop_path": 0.0}, 0)):  # the first of the twelve blocks has none
        model = timm.variant(name).build(config, shape=(3, 224, 224), n_classes=2, weights="none")
        assert len(rates(model)) == 2 * n  # one for each of the two branches of a block
        assert n == 0 or rates(model) == rates(library.create_model(name))


def test_a_network_without_drop_path_refuses_a_rate_above_zero() -> None:
    for name in ("vgg11", "densenet121"):
        with pytest.raises(SetupError, match=f"`drop_path`: timm:{name} has no drop path") as caught:
            timm.variant(name).build({"drop_path": 0.1}, shape=(3, 32, 32), n_classes=2, weights="none")
        assert caught.value.keys == ("drop_path",)


def test_a_rate_of_zero_suits_every_network() -> None:
    model = timm.variant("test_resnet").build({"drop_path": 0}, shape=(3, 32, 32), n_classes=2, weights="none")
    assert rates(model) == []


@pytest.mark.parametrize("rate", [1.0, -0.1, "half"])
def test_a_rate_that_is_no_share_is_refused(rate: float | str) -> None:
    with pytest.raises(ValueError, match="`drop_path` must be"):
        timm.variant("test_vit").build({"drop_path": rate}, shape=(3, 160, 160), n_classes=2, weights="none")
