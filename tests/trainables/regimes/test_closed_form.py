from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from tests.trainables import toys
from tests.trainables.regimes.contract import RegimeContract
from tests.trainables.states import identical, loaded, saved
from trainables.data.dataset import Part, SearchData
from trainables.hyperparameters import Config
from trainables.regimes import closed_form
from trainables.seeding import seed_everything
from trainables.trainable import TransferModel

CONFIGS: tuple[Config, ...] = (
    {"method": "ridge"},
    {"method": "logistic", "iterations": 2},
    {"method": "lda"},
    {"method": "nearest_mean"},
    {"method": "knn", "k": 9},
    {"method": "knn", "k": 9, "distance": "cosine"},
)


def noisy_data() -> SearchData:
    """The toy under so much noise that no classifier is always right."""

    def noisy(part: Part, seed: int) -> Part:
        noise = torch.randn(part.images.shape, generator=torch.Generator().manual_seed(seed))
        return Part((part.images + 0.5 * noise).clamp(0, 1), part.labels)

    data = toys.data()
    return replace(data, train=noisy(data.train, 1), validation=noisy(data.validation, 2))


def build(config: Config, data: SearchData | None = None, model: TransferModel | None = None) -> Any:
    return closed_form.build(config, model or toys.pretrained(), data or noisy_data(), "cpu")


class TestClosedForm(RegimeContract):
    """Nothing is random in it, so some rules of the contract have another form here."""

    regime = closed_form
    config: ClassVar[Config] = {"method": "logistic", "iterations": 2, "l2": 1e-3}
    configs: ClassVar = ({}, {"class_weights": "effective"})
    trains: ClassVar = (("head",),)
    augments = False
    is_even = True

    def test_the_same_seed_gives_the_same_training_and_another_seed_another(self) -> None:
        """Every seed gives the same training."""
        runs = []
        for seed in (3, 4):
            trainable = self.build(seed=seed)
            runs.append([trainable.step() for _ in range(3)])
        assert runs[0] == runs[1]

    def test_training_against_imbalance_goes_on_exactly_and_is_validated_by_the_plain_cross_entropy(self) -> None:
        config, data = {**self.config, "class_weights": "balanced"}, self.skewed_data()
        unbroken = self.build(config=config, data=data)
        for _ in range(3):
            state = deepcopy(unbroken.state_dict())
            metrics = unbroken.step()
            resumed = self.build(config=config, data=data)
            resumed.load_state_dict(state)
            assert resumed.step() == metrics

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"sampler": "balanced"}, "`sampler` must be one of shuffle, but is 'balanced'"),
            ({"loss_function": "focal"}, "`loss_function` must be one of cross_entropy, but is 'focal'"),
        ],
        ids=str,
    )
    def test_the_last_phase_weighs_and_draws_its_own_images(self, change: Config, message: str) -> None:  # type: ignore[override]
        """A sampler and a loss of another kind are refused. Class weights are tested below."""
        with pytest.raises(ValueError, match=message):
            build(change)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: " ".join(map(str, config.values())))
class TestEveryClassifier:
    def test_it_tells_most_images_apart_with_probabilities_that_are_worth_having(self, config: Config) -> None:
        metrics = build(config).step()
        assert metrics["val_accuracy"] > 0.6
        assert metrics["val_loss"] < 0.9

    def test_it_goes_on_exactly_from_a_file(self, config: Config) -> None:
        unbroken = build(config)
        epochs, files = [], []
        for _ in range(4):
            epochs.append(unbroken.step())
            files.append(saved(unbroken))
        for done, file in enumerate(files[:-1], start=1):
            resumed = build(config)
            resumed.load_state_dict(loaded(file))
            assert resumed.evaluate(noisy_data().validation)["loss"] == epochs[done - 1]["val_loss"]
            assert [resumed.step() for _ in epochs[done:]] == epochs[done:]
            assert identical(resumed.state_dict(), unbroken.state_dict())

    def test_the_model_alone_gives_the_logits_of_the_validation(self, config: Config) -> None:
        trainable, data = build(config), noisy_data()
        trainable.step()
        trainable.model.eval()
        with torch.no_grad():
            torch.testing.assert_close(trainable.model(data.validation.images), trainable.validation_logits)

    def test_class_weights_change_it_unless_it_has_only_means(self, config: Config) -> None:
        losses = [build({**config, **weights}).step()["val_loss"] for weights in ({}, {"class_weights": "balanced"})]
        data = noisy_data()
        rare = data.train.take([i for i, label in enumerate(data.train.labels.tolist()) if label != 2 or i % 2])
        skewed = replace(data, train=rare)
        weighted = [build({**config, **weights}, skewed).step() for weights in ({}, {"class_weights": "balanced"})]
        assert losses[0] == pytest.approx(losses[1], abs=0.02)  # the classes have almost as many images each
        assert weighted[0]["val_loss"] != weighted[1]["val_loss"]


def test_the_strength_of_an_epoch_depends_on_its_number_alone() -> None:
    """A path of halved penalties has, at its third epoch, a quarter of the first one."""
    path = build({"method": "ridge", "l2": 8.0})
    third = [path.step() for _ in range(3)][-1]
    assert third == build({"method": "ridge", "l2": 2.0}).step()


@pytest.mark.parametrize("method", ["ridge", "lda", "knn"])
def test_a_path_ends_at_a_smallest_strength(method: str) -> None:
    path = build({"method": method, "divisor": 1e200})
    losses = [path.step()["val_loss"] for _ in range(4)]
    assert losses[0] != losses[1] == losses[2] == losses[3] < 2


def test_a_divisor_of_one_keeps_the_strength() -> None:
    constant = build({"method": "lda", "shrinkage": 0.5, "divisor": 1})
    assert constant.step() == constant.step()


def with_maps() -> TransferModel:
    """A model whose head is a convolution."""
    seed_everything(0)
    stages = {"maps": nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU())}
    return TransferModel(stages, nn.Sequential(nn.Conv2d(6, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()))


def test_a_head_of_convolutions_becomes_a_linear_layer_on_the_means_of_the_maps() -> None:
    trainable = build({"method": "ridge", "l2": 0.1}, model=with_maps())
    trainable.step()
    assert [type(layer) for layer in trainable.model.head] == [nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear]
    assert trainable.model.head[-1].in_features == 6


def test_neighbours_are_those_of_the_means_of_the_maps() -> None:
    trainable = build({"method": "knn", "k": 9}, model=with_maps())
    metrics = trainable.step()
    trainable.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(trainable.model(noisy_data().validation.images), trainable.validation_logits)
    assert trainable.model.head[-1].neighbours.shape == (97, 6)
    assert abs(metrics["train_loss"] - metrics["val_loss"]) < 0.5


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"method": "svm"}, "`method` must be one of ridge, logistic, lda, nearest_mean, knn, but is 'svm'"),
        ({"l2": 0}, "`l2` must be above 0, but is 0"),
        ({"shrinkage": 1.5}, "`shrinkage` must be above 0 and at most 1, but is 1.5"),
        ({"divisor": 0.5}, "`divisor` must be of at least 1, but is 0.5"),
        ({"method": "knn", "k": 98}, "`k` must be at most 97, the number of training images, but is 98"),
        ({"distance": "manhattan"}, "`distance` must be one of euclidean, cosine, but is 'manhattan'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(config)
