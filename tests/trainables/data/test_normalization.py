"""How the images that a model receives are normalized."""

from __future__ import annotations

import pytest
import torch

from tests.trainables import toys
from tests.trainables.declarations import Recording, declared
from trainables.data import preprocessing
from trainables.data.dataset import Part
from trainables.data.input_spec import InputSpec
from trainables.hyperparameters import Config
from trainables.trainable import TransferModel


def statistics(config: Config, expected: InputSpec, train: Part) -> tuple[list[float], list[float]]:
    """The mean and the deviation by which a model normalises."""
    model = TransferModel({}, torch.nn.Linear(1, 1))
    preprocessing.normalize(model, config, expected, train)
    return model.mean.flatten().tolist(), model.std.flatten().tolist()


def test_images_are_normalised_by_the_model_by_the_data_or_not_at_all() -> None:
    train = toys.part(30, seed=0)
    expected = InputSpec(mean=(0.25,), std=(0.5,))
    assert statistics({}, expected, train) == statistics({"normalization": "model"}, expected, train) == ([0.25], [0.5])
    assert statistics({"normalization": "none"}, expected, train) == ([0.0], [1.0])
    mean, std = statistics({"normalization": "data"}, expected, train)
    assert mean == pytest.approx([float(train.images.mean())])
    assert std == pytest.approx([float(train.images.std(correction=0))])


def test_a_model_that_states_no_statistics_gets_images_as_they_are() -> None:
    assert statistics({}, InputSpec(), toys.part(30, seed=0)) == ([0.0], [1.0])


def test_a_wrong_normalisation_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="`normalization` must be one of model, data, none, but is 'batch'"):
        statistics({"normalization": "batch"}, InputSpec(), toys.part(30, seed=0))


def test_a_preparation_reads_exactly_the_keys_that_it_declares() -> None:
    config = Recording({})
    preprocessing.image_format(config, InputSpec())
    preprocessing.normalize(TransferModel({}, torch.nn.Linear(1, 1)), config, InputSpec(), toys.part(3, seed=0))
    assert config.read == set(declared("trainables.data.preprocessing"))
