from __future__ import annotations

import torch
from torch import nn

from trainables.assembly import compatibility
from trainables.data import images
from trainables.data.dataset import SearchData
from trainables.datasets import digits
from trainables.trainable import TransferModel


def test_the_look_at_what_a_model_gives_changes_neither_it_nor_what_is_random() -> None:
    source = images.load(digits.build(None).training(), images.ImageFormat())
    data = SearchData(source, source, tuple("0123456789"))
    norm = nn.BatchNorm2d(1)
    model = TransferModel({"norm": norm, "random": Noisy()}, nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    model.stages["random"].eval()
    before = torch.get_rng_state()
    compatibility.check("any", model, data)
    assert torch.equal(torch.get_rng_state(), before)
    assert (model.training, norm.training, model.stages["random"].training) == (True, True, False)
    assert norm.num_batches_tracked == 0


class Noisy(nn.Module):
    """Adds noise, in evaluation mode too."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + torch.rand_like(images)
