"""Batches that are computed in parts, by the hyperparameter `micro_batches`."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainables import toys
from trainables.hyperparameters import Config
from trainables.seeding import seed_everything
from trainables.trainable import TransferModel
from trainables.training import gradient_descent
from trainables.training.epochs import BatchResult
from trainables.training.gradient_descent import Training


class Plain(nn.Module):
    """Layers without BatchNorm and dropout, whose output for an image depends on no other image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layers(images)
        return found


def in_parts(n_parts: int, **config: Any) -> Training:
    """A training of a network without BatchNorm and dropout, whose batches are computed in `n_parts`."""
    seed_everything(0)
    model = TransferModel({"first": Plain()}, nn.Linear(4 * 6 * 6, len(toys.CLASSES)))
    settings = {"lr": 0.05, "optimizer": "sgd", "batch_size": 16, "micro_batches": n_parts, **config}
    return gradient_descent.build(settings, model, toys.data(), "cpu")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"class_weights": "balanced", "label_smoothing": 0.1},
        {"loss_function": "focal", "class_weights": "balanced", "mixing": "mixup"},
        {"mixing": "collage", "augmentation": "flip_jitter", "clip_norm": 0.5},
        {"l2": 0.01, "l2_on": "all", "sampler": "balanced"},
    ],
    ids=str,
)
@pytest.mark.parametrize("n_parts", [2, 3, 8, 1000])
def test_batches_in_parts_train_as_whole_batches_do(config: dict[str, Any], n_parts: int) -> None:
    whole, parts = in_parts(1, **config), in_parts(n_parts, **config)
    for _ in range(2):  # 97 images: the last batch of an epoch has 17 images
        assert parts.step() == pytest.approx(whole.step(), rel=1e-4, abs=1e-6)
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], weight, rtol=1e-4, atol=1e-6)


def test_a_part_of_a_batch_has_at_least_two_images_so_that_batchnorm_can_train() -> None:
    seed_everything(0)
    model, seen = toys.model(), list[int]()
    model.freeze(())
    config: Config = {"lr": 0.01, "batch_size": 16, "micro_batches": 1000}
    made = gradient_descent.build(config, model, toys.data(), "cpu")
    made.model.stages["first"].register_forward_pre_hook(
        lambda module, images: seen.append(len(images[0])) if module.training else None
    )
    made.step()
    assert set(seen) == {2, 3}
    assert sum(seen) == 97


def test_a_training_in_parts_validates_in_smaller_batches_too() -> None:
    made, seen = in_parts(16), list[int]()
    made.model.register_forward_pre_hook(lambda module, images: seen.append(len(images[0])))
    made.model.head.register_forward_pre_hook(lambda module, features: seen.append(len(features[0])))
    made.evaluate(toys.data().validation)
    assert seen == [16, 16, 16]


def test_micro_batches_must_be_1_for_a_loss_that_needs_the_whole_batch() -> None:
    def objective(*_: object) -> BatchResult:
        raise AssertionError

    with pytest.raises(ValueError, match="`micro_batches` must be 1 for this regime, but is 2: its loss needs all"):
        gradient_descent.build_optimization({"lr": 0.1, "micro_batches": 2}, toys.model(), objective, "cpu")
