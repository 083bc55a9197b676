import math
from types import ModuleType

import pytest
import torch
from torch import nn

from tests.trainables import toys
from trainables.data.dataset import Part
from trainables.errors import SetupError
from trainables.regimes import fine_tune, linear_probe
from trainables.trainable import HEAD, TransferModel
from trainables.training import single_images


def small() -> TransferModel:
    """BatchNorm on maps of 4 pixels, then on maps of one, and, in the head, on a vector."""
    stages = {
        "maps": nn.Sequential(nn.Conv2d(1, 3, 4, stride=4), nn.BatchNorm2d(3)),
        "pixel": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Dropout(), nn.BatchNorm2d(3), nn.Flatten()),
    }
    return TransferModel(stages, nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)))


@pytest.mark.parametrize(
    ("frozen", "layer"),
    [((), "stages.pixel.2"), (("pixel",), "head.1"), (("pixel", HEAD), None), (("maps",), "stages.pixel.2")],
)
def test_a_batchnorm_that_trains_on_single_values_is_refused_by_name(
    frozen: tuple[str, ...], layer: str | None
) -> None:
    model, part = small(), toys.part(9, seed=1)
    model.freeze(frozen)
    single_images.check(model, part, 2)
    if layer is None:
        single_images.check(model, part, 1)
        return
    with pytest.raises(SetupError) as caught:
        single_images.check(model, part, 1)
    assert str(caught.value) == (
        f"`batch_size` must be at least 2 for this model, but is 1: its layer {layer} is a BatchNorm, which needs two "
        "values for each channel, and gets one from an image of (1, 8, 8) (channels, height, width)"
    )
    assert "batch_size" in caught.value.keys


def test_stages_that_are_frozen_are_not_checked() -> None:
    model = small()
    model.freeze(("pixel", HEAD))
    single_images.check(model, toys.part(9, seed=1), 1)


def test_a_single_training_image_is_a_batch_of_one_whatever_the_batch_size() -> None:
    with pytest.raises(SetupError, match="the training part has a single image, which is too few for this model"):
        single_images.check(small(), toys.part(1, seed=1), 64)


def test_the_check_changes_neither_the_model_nor_the_random_state() -> None:
    model, part = small(), Part(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]))
    model.eval()
    model.stages["pixel"][0].train()  # type: ignore[index]
    modes = [module.training for module in model.modules()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    with pytest.raises(SetupError):
        single_images.check(model, part, 1)
    assert torch.equal(torch.rand(1), expected)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("regime", [linear_probe, fine_tune])
def test_a_frozen_trunk_trains_its_head_on_batches_of_one_and_an_unfrozen_one_is_refused(regime: ModuleType) -> None:
    model = TransferModel(dict(small().stages.items()), nn.Linear(3, 3))
    config = {"batch_size": 1, "lr": 0.01}
    if regime is linear_probe:
        assert math.isfinite(regime.build(config, model, toys.data(), "cpu").step()["train_loss"])
        return
    with pytest.raises(SetupError, match="`batch_size` must be at least 2 for this model, but is 1"):
        regime.build(config, model, toys.data(), "cpu")


def test_the_model_may_lie_on_another_device_than_the_images() -> None:
    with pytest.raises(SetupError, match=r"its layer stages\.pixel\.2 is a BatchNorm"):
        single_images.check(small().to("meta"), toys.part(9, seed=1), 1)
