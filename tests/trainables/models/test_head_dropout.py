import pytest
import torch
from torch import nn

from tests.trainables.declarations import Recording, declared
from trainables.models import _head_dropout, _heads


def test_without_a_rate_the_head_is_a_linear_layer() -> None:
    for config in ({}, {"dropout": 0.0}, {"dropout": None}):
        torch.manual_seed(1)
        head = _head_dropout.linear(30, 3, config)
        torch.manual_seed(1)
        assert type(head) is nn.Linear
        assert torch.equal(head.weight, _heads.linear(30, 3, {}).weight)


def test_it_drops_a_share_of_the_features_in_training_alone_and_draws_as_nn_dropout_does() -> None:
    head = _head_dropout.linear(1000, 3, {"dropout": 0.25})
    values = torch.rand(4, 1000)
    torch.manual_seed(1)
    found = head(values)
    torch.manual_seed(1)
    dropped = nn.Dropout(0.25)(values)
    assert torch.equal(found, nn.functional.linear(dropped, head.weight, head.bias))
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(head.eval()(values), nn.functional.linear(values, head.weight, head.bias))


def test_its_weights_have_the_names_and_the_first_values_of_a_linear_layer() -> None:
    for init in ("default", "xavier_normal"):
        torch.manual_seed(1)
        with_dropout = _head_dropout.linear(30, 3, {"dropout": 0.5, "head_init": init}).state_dict()
        torch.manual_seed(1)
        without = _heads.linear(30, 3, {"head_init": init}).state_dict()
        assert with_dropout.keys() == without.keys()
        assert all(torch.equal(value, without[key]) for key, value in with_dropout.items())


@pytest.mark.parametrize("rate", [1.0, -0.1, "half"])
def test_a_rate_that_is_no_share_is_refused(rate: float | str) -> None:
    with pytest.raises(ValueError, match="`dropout` must be"):
        _head_dropout.linear(3, 2, {"dropout": rate})


def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read() -> None:
    recording = Recording({})
    _head_dropout.linear(3, 2, recording)
    assert recording.read == {*declared("trainables.models._head_dropout"), *declared("trainables.models._heads")}
