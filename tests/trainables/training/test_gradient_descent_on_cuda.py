"""Training on a GPU beside the same training on the CPU."""

import pytest
import torch
from torch import nn

from tests.trainables import toys
from trainables.hyperparameters import Config
from trainables.seeding import seed_everything
from trainables.trainable import TransferModel
from trainables.training import gradient_descent

BATCH = {"batch_size": 16}


def plain_network() -> TransferModel:
    """A network that draws no random numbers while it trains."""
    stage = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten())
    return TransferModel({"first": stage}, nn.Linear(16, len(toys.CLASSES)))


@pytest.mark.cuda
@pytest.mark.parametrize("augmentation", ["none", "flip_jitter", "rand_augment"])
def test_an_epoch_on_cuda_is_that_on_the_cpu_up_to_rounding(augmentation: str) -> None:
    """The order of the images and their augmentation are drawn on the CPU, so they are the same."""
    losses = []
    for device in ("cpu", "cuda"):
        seed_everything(0)
        model = plain_network()
        model.freeze(())
        config: Config = {"lr": 0.01, **BATCH, "augmentation": augmentation}
        losses.append(gradient_descent.build(config, model, toys.data(), device).step())
    for name in ("train_loss", "val_loss"):
        assert losses[1][name] == pytest.approx(losses[0][name], rel=1e-2)  # convolutions on CUDA use TF32


@pytest.mark.cuda
def test_precision_auto_is_that_of_the_gpu() -> None:
    expected = torch.cuda.is_bf16_supported()
    assert gradient_descent.is_bf16({"precision": "auto"}, "cuda") is expected
    assert gradient_descent.is_bf16({"precision": "fp32"}, "cuda") is False
    assert gradient_descent.is_bf16({"precision": "bf16"}, "cuda") is True


@pytest.mark.cuda
def test_a_training_in_bfloat16_on_cuda_learns() -> None:
    seed_everything(0)
    model = plain_network()
    model.freeze(())
    training = gradient_descent.build({"lr": 0.01, **BATCH, "precision": "bf16"}, model, toys.data(), "cuda")
    losses = [training.step()["val_loss"] for _ in range(8)]
    assert losses[-1] < 0.7 * losses[0]
