import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainables.training.imbalance import samplers
from trainables.training.imbalance.samplers import BalancedSampler


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shuffle_has_no_sampler_of_its_own() -> None:
    assert samplers.build({}, torch.tensor([0, 1])) is None
    assert samplers.build({"sampler": "shuffle"}, torch.tensor([0, 1])) is None
    assert isinstance(samplers.build({"sampler": "balanced"}, torch.tensor([0, 1])), BalancedSampler)


def test_another_name_is_refused_with_those_that_are_allowed() -> None:
    with pytest.raises(ValueError, match="`sampler` must be one of shuffle, balanced, but is 'weighted'"):
        samplers.build({"sampler": "weighted"}, torch.tensor([0, 1]))


def counted(labels: Tensor, n_epochs: int) -> Tensor:
    """How often each image is drawn, (n,)."""
    sampler, drawing = BalancedSampler(labels), generator()
    return torch.cat([sampler(drawing) for _ in range(n_epochs)]).bincount(minlength=len(labels))


def test_classes_are_equally_likely_and_so_are_the_images_of_a_class() -> None:
    labels = torch.tensor([3, 0, 0, 3, 1, 0, 0, 0])  # there is no image of class 2
    counts = counted(labels, 3000).double()
    for label in (0, 1, 3):
        images = counts[labels == label]
        assert float(images.sum()) == pytest.approx(8000, rel=0.04)
        assert images.tolist() == pytest.approx([8000 / len(images)] * len(images), rel=0.08)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 1000))
def test_an_epoch_has_as_many_images_as_the_part_and_follows_from_the_generator(labels: list[int], seed: int) -> None:
    sampler = BalancedSampler(torch.tensor(labels))
    drawn = sampler(generator(seed))
    assert drawn.dtype == torch.int64
    assert len(drawn) == len(labels)
    assert set(drawn.tolist()) <= set(range(len(labels)))
    assert torch.equal(BalancedSampler(torch.tensor(labels))(generator(seed)), drawn)
