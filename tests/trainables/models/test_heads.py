import pytest
import torch
from torch import nn

from tests.trainables.declarations import Recording, declared
from trainables.hyperparameters import Config
from trainables.models import _heads


def both(config: Config) -> tuple[nn.Linear, nn.Conv2d]:
    torch.manual_seed(1)
    return _heads.linear(300, 100, config), _heads.convolution(300, 100, config)


def test_a_head_gives_one_output_a_class() -> None:
    line, convolution = both({})
    assert line(torch.ones(2, 300)).shape == (2, 100)
    assert convolution(torch.ones(2, 300, 4, 5)).shape == (2, 100, 4, 5)


def test_both_heads_compute_the_same_with_the_same_weights() -> None:
    line, convolution = both({})
    convolution.load_state_dict({"weight": line.weight[:, :, None, None], "bias": line.bias})
    features = torch.rand(2, 300)
    torch.testing.assert_close(convolution(features[:, :, None, None])[:, :, 0, 0], line(features))


def test_the_default_is_that_of_pytorch() -> None:
    for config in ({}, {"head_init": "default"}, {"head_init": None}):
        torch.manual_seed(1)
        expected = nn.Linear(300, 100)
        line, convolution = both(config)
        assert torch.equal(line.weight, expected.weight)
        assert torch.equal(line.bias, expected.bias)
        assert 0.9 < convolution.weight.abs().max() * 300**0.5 <= 1


def test_xavier_normal_draws_from_a_normal_distribution_and_sets_the_bias_to_zero() -> None:
    for layer in both({"head_init": "xavier_normal"}):
        spread = (2 / (300 + 100)) ** 0.5
        assert layer.weight.std().item() == pytest.approx(spread, rel=0.02)
        assert layer.weight.abs().max() > 3 * spread
        assert layer.bias is not None
        assert not layer.bias.any()


def test_another_initialisation_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="`head_init` must be one of default, xavier_normal, but is 'xavier'"):
        _heads.linear(3, 2, {"head_init": "xavier"})


def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read() -> None:
    recording = Recording({})
    _heads.linear(3, 2, recording)
    assert recording.read == set(declared("trainables.models._heads"))
