"""A training on images that random operations, erasing and mixing change."""

import pytest
import torch

from tests.trainables import toys
from trainables.hyperparameters import Config
from trainables.training import gradient_descent
from trainables.training.gradient_descent import Training

CONFIGS: list[Config] = [
    {"augmentation": "rand_augment", "random_erasing": 0.5, "erasing_mode": "pixel", "mixing": "mixup_cutmix"},
    {"augmentation": "trivial_augment", "random_erasing": 0.5, "mixing": "cutmix"},
    {"augmentation": "augmix"},
]
each = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["augmentation"])


def build(config: Config, seed: int = 3) -> Training:
    torch.manual_seed(seed)
    return gradient_descent.build({"lr": 0.05, "batch_size": 16, **config}, toys.pretrained(), toys.data(), "cpu")


@each
def test_it_is_cut_short_and_goes_on_exactly(config: Config) -> None:
    whole = build(config)
    expected = [whole.step() for _ in range(3)]
    first, second = build(config), build(config, seed=4)
    assert first.step() == expected[0]
    second.load_state_dict(first.state_dict())
    assert [second.step() for _ in range(2)] == expected[1:]


@each
def test_validation_images_are_never_changed(config: Config) -> None:
    changed, plain = build(config), build({})
    plain.load_state_dict({**plain.state_dict(), "weights": changed.state_dict()["weights"]})
    assert changed.evaluate(toys.data().validation) == plain.evaluate(toys.data().validation)
    validated = changed.step()["val_loss"]
    plain.load_state_dict({**plain.state_dict(), "weights": changed.state_dict()["weights"]})
    assert validated == plain.evaluate(toys.data().validation)["loss"]


def test_erased_boxes_are_0_in_what_the_network_gets() -> None:
    model = toys.pretrained()
    model.normalize([0.25], [0.5])
    seen = []
    model.stages["first"].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    torch.manual_seed(3)
    config: Config = {"lr": 0.05, "batch_size": 16, "random_erasing": 1.0}
    training = gradient_descent.build(config, model, toys.data(), "cpu")
    training.step()
    erased = (seen[0] == 0).flatten(1).float().mean(dim=1)
    assert erased.min() > 0
    assert erased.max() < 0.6
