from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.trainables import toys
from tests.trainables.watching import counted
from trainables.data.dataset import SearchData
from trainables.data.splits import split_into_folds
from trainables.errors import SetupError
from trainables.ranking import measure
from trainables.trainable import TransferModel


def folds() -> list[SearchData]:
    whole = toys.part(60, seed=5)
    splits = split_into_folds(whole, classes=toys.CLASSES, n_folds=3, seed=0)
    return [SearchData(each.train, each.validation, toys.CLASSES) for each in splits]  # type: ignore[arg-type]


def test_a_model_is_measured_on_each_image_of_the_folds_once() -> None:
    model = toys.pretrained()
    found = measure(model, folds())
    assert found.is_correct.shape == (60,)
    assert found.is_correct.double().mean() > 0.9
    assert (found.n_features, found.image_size) == (16, (8, 8))
    assert found.n_parameters == sum(each.numel() for each in model.stages.parameters())
    assert 0 < found.seconds_of_last_stages[0] <= found.seconds_of_last_stages[-1]


def test_the_features_of_an_image_are_computed_once_for_all_folds() -> None:
    model = toys.pretrained()
    with counted(model) as counts:
        measure(model, folds())
    n_timed = 16 * 4  # batches of 16, one to warm up and three that are timed
    assert counts["first"] == 60 + n_timed


def test_of_a_given_split_only_the_validation_part_is_scored() -> None:
    data = toys.data()
    found = measure(toys.pretrained(), [data])
    assert len(found.is_correct) == len(data.validation)
    wrong = replace(data, validation=data.validation.relabelled((data.validation.labels + 1) % 3))
    assert torch.equal(measure(toys.pretrained(), [wrong]).is_correct, torch.zeros(48, dtype=torch.bool))


def test_a_model_of_too_many_features_is_refused_in_words_of_the_ranking() -> None:
    widened = {"wide": nn.Sequential(nn.Flatten(), nn.Linear(64, 16_385))}
    model = TransferModel(widened, nn.Linear(16_385, 3))
    with pytest.raises(SetupError, match="it gives 16,385 features an image, and at most 16,384 can") as found:
        measure(model, folds())
    assert "method" not in str(found.value)
