from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from tests.trainables import toys
from tests.trainables.regimes.contract import EVERY, LEARNS, RegimeContract
from tests.trainables.regimes.imbalance_contract import AGAINST_IMBALANCE
from trainables.data.dataset import Part, SearchData
from trainables.hyperparameters import Config
from trainables.regimes import contrastive
from trainables.regimes.contrastive import Triplets, draw_triplets
from trainables.trainable import TransferModel

KEYS: tuple[Config, ...] = (*EVERY, {"classifier": "network"})


class TestContrastive(RegimeContract):
    regime = contrastive
    config: ClassVar[Config] = {**LEARNS, "encoder_epochs": 3, "encoder_lr": 0.001}
    configs: ClassVar[tuple[Config, ...]] = KEYS
    trains: ClassVar = (("first", "second", "fc"), ("head",))
    epochs: ClassVar = (3,)

    def test_the_encoder_learns_to_tell_the_classes_apart(self) -> None:
        trainable = self.build(model=toys.model(), config={"encoder_lr": 0.01, "encoder_epochs": 8})
        epochs = [trainable.step() for _ in range(8)]
        assert epochs[-1]["train_loss"] < 0.5 * epochs[0]["train_loss"]
        assert epochs[-1]["train_accuracy"] > 0.9

    def test_triplets_come_from_each_image_once_whatever_the_classifier_draws_and_weighs(self) -> None:
        against_imbalance = self.build(config={**self.config, **AGAINST_IMBALANCE}, data=self.skewed_data())
        plain = self.build(data=self.skewed_data())
        for _ in range(3):
            assert against_imbalance.step() == plain.step()

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"encoder": "thawed"}, "`encoder` must be one of frozen, fine_tune, but is 'thawed'"),
            ({"classifier": "tree"}, "`classifier` must be one of softmax, network, but is 'tree'"),
            ({"margin": 0}, "`margin` must be above 0, but is 0"),
            ({"encoder_lr": 0}, "`encoder_lr` must be above 0, but is 0"),
            ({"batch_size": 2}, "`batch_size` must be a whole number of at least 3, but is 2"),
            ({"encoder_epochs": 0}, "`encoder_epochs` must be a whole number of at least 1, but is 0"),
            ({"classifier": "network", "classifier_width": 2.5}, "`classifier_width` must be a whole number of at"),
            ({"lr": 0}, "`lr` must be above 0, but is 0"),
            ({"label_smoothing": 1}, "`label_smoothing` must be of at least 0 and below 1, but is 1"),
            ({"sampler": "fair"}, "`sampler` must be one of shuffle, balanced, but is 'fair'"),
        ],
        ids=str,
    )
    def test_a_wrong_value_is_refused_by_name(self, config: Config, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            self.build(config=config)

    def test_a_model_without_an_encoder_leaves_nothing_to_train(self) -> None:
        with pytest.raises(ValueError, match="nothing is left to train: head would be frozen"):
            self.build(model=TransferModel({"flatten": nn.Flatten()}, nn.Linear(64, 3)))

    def test_an_epoch_of_batches_without_a_triplet_changes_no_weight_and_has_no_nan(self) -> None:
        part = Part(toys.part(12, seed=0).images, torch.zeros(12, dtype=torch.int64))
        model = toys.pretrained()
        before = [parameter.detach().clone() for parameter in model.parameters()]
        trainable = self.build(
            model=model, data=SearchData(part, part, toys.CLASSES), config={"optimizer": "sgd", "batch_size": 4}
        )
        metrics = trainable.step()
        assert metrics["train_loss"] == 0
        assert all(map(torch.equal, before, model.parameters()))


class TestContrastiveWithANetworkThatTrainsTheEncoder(RegimeContract):
    """The first layers of the network follow from the seed of the trial alone."""

    regime = contrastive
    config: ClassVar[Config] = {
        **LEARNS,
        "encoder_epochs": 2,
        "encoder_lr": 0.001,
        "encoder": "fine_tune",
        "classifier": "network",
        "classifier_width": 8,
    }
    configs: ClassVar[tuple[Config, ...]] = KEYS
    trains: ClassVar = (("first", "second", "fc"), ("first", "second", "fc", "head"))
    epochs: ClassVar = (2,)
    other_seed = 1


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=40), seed=st.integers(0, 2**32))
def test_a_positive_is_another_of_the_class_and_a_negative_is_of_another_class(labels: list[int], seed: int) -> None:
    drawn = torch.tensor(labels)
    anchors, positives, negatives = draw_triplets(drawn, torch.Generator().manual_seed(seed))
    assert len(anchors) == len(positives) == len(negatives)
    assert torch.equal(drawn[anchors], drawn[positives])
    assert not (anchors == positives).any()
    assert not (drawn[anchors] == drawn[negatives]).any()
    able = [i for i, label in enumerate(labels) if 1 < labels.count(label) < len(labels)]
    assert anchors.tolist() == able


def test_partners_are_uniform_over_all_that_are_possible() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1])
    generator = torch.Generator().manual_seed(0)
    positives, negatives = torch.zeros(5, 5), torch.zeros(5, 5)
    for _ in range(2000):
        anchors, positive, negative = draw_triplets(labels, generator)
        positives[anchors, positive] += 1
        negatives[anchors, negative] += 1
    same = (labels[:, None] == labels).float().fill_diagonal_(0)
    other = (labels[:, None] != labels).float()
    for drawn, possible in ((positives, same), (negatives, other)):
        expected = 2000 * possible / possible.sum(dim=1, keepdim=True)
        assert (drawn - expected).abs().max() < 120


@pytest.mark.parametrize("labels", [[0], [0, 0, 0], [0, 1, 2], [3, 3]])
def test_a_batch_of_one_class_or_of_singletons_has_no_triplets(labels: list[int]) -> None:
    drawn = draw_triplets(torch.tensor(labels), torch.Generator())
    assert [len(each) for each in drawn] == [0, 0, 0]


def test_the_loss_is_the_mean_triplet_margin_loss_over_the_anchors() -> None:
    model = TransferModel({"flatten": nn.Flatten()}, nn.Identity())
    images, labels = torch.rand(6, 1, 2, 2), torch.tensor([0, 1, 0, 1, 1, 2])
    result = Triplets(model, margin=0.5)(model, images, labels, torch.Generator().manual_seed(4))
    anchors, positives, negatives = draw_triplets(labels, torch.Generator().manual_seed(4))
    vectors = images.flatten(1)
    expected = functional.triplet_margin_loss(vectors[anchors], vectors[positives], vectors[negatives], margin=0.5)
    torch.testing.assert_close(result.total_loss, expected)
    torch.testing.assert_close(result.loss, expected)
    near = (vectors[anchors] - vectors[positives]).norm(dim=1) < (vectors[anchors] - vectors[negatives]).norm(dim=1)
    assert (int(result.n_correct), result.n_samples) == (int(near.sum()), 5)
