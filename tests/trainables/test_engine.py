import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.trainables import toys
from trainables.engine import batches, train_epoch, validate
from trainables.splits import Part


class Recorder(nn.Module):
    """A linear model that remembers the batches it was given and the mode it was in."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)
        self.seen: list[torch.Tensor] = []
        self.modes: set[bool] = set()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images)
        self.modes.add(self.training)
        logits: torch.Tensor = self.linear(images.flatten(1))
        return logits


def epoch(model: nn.Module, part: Part, *, batch_size: int, lr: float = 0.0, seed: int = 0) -> tuple[float, float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    return train_epoch(model, part, optimizer, batch_size=batch_size, generator=generator)


def exact(model: Recorder, part: Part) -> tuple[float, float]:
    with torch.no_grad():
        logits = model.linear(part.images.flatten(1))
    accuracy = (logits.argmax(1) == part.labels).float().mean()
    return float(functional.cross_entropy(logits, part.labels)), float(accuracy)


def test_an_epoch_trains_on_each_sample_once_in_batches_of_the_asked_size() -> None:
    model, part = Recorder(), toys.part(22, seed=0)
    epoch(model, part, batch_size=6)
    assert [len(images) for images in model.seen] == [6, 6, 6, 4]
    order = torch.cat(model.seen).flatten(1)
    assert not torch.equal(order, part.images.flatten(1))
    assert sorted(order.tolist()) == sorted(part.images.flatten(1).tolist())
    assert model.modes == {True}


def test_the_order_follows_from_the_generator_and_differs_from_epoch_to_epoch() -> None:
    model, part = Recorder(), toys.part(22, seed=0)
    for seed in (0, 0, 1):
        epoch(model, part, batch_size=22, seed=seed)
    first, second, third = model.seen
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_means_are_over_samples_so_that_a_short_last_batch_counts_less() -> None:
    model, part = Recorder(), toys.part(23, seed=0)
    expected = pytest.approx(exact(model, part), rel=1e-5)
    assert epoch(model, part, batch_size=10) == expected
    assert validate(model, part, batch_size=10) == expected
    assert validate(model, part) == expected


def test_training_follows_the_gradient() -> None:
    model, part = Recorder(), toys.part(24, seed=0)
    weight = model.linear.weight.detach().clone().requires_grad_()
    logits = functional.linear(part.images.flatten(1), weight, model.linear.bias.detach())
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, part.labels), weight)
    epoch(model, part, batch_size=24, lr=0.5)
    torch.testing.assert_close(model.linear.weight.detach(), weight.detach() - 0.5 * gradient)


def test_validation_runs_in_evaluation_mode_and_records_no_gradient() -> None:
    model = Recorder()
    validate(model, toys.part(6, seed=0))
    assert model.modes == {False}
    assert model.linear.weight.grad is None


def test_validation_changes_no_running_statistics() -> None:
    model = toys.model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    validate(model, toys.part(6, seed=0))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(7, 3, [3, 4]), (8, 3, [3, 3, 2]), (3, 1, [1, 1, 1]), (1, 4, [1]), (4, 9, [4]), (5, 4, [5])],
)
def test_a_last_batch_of_one_joins_the_batch_before_it(n: int, batch_size: int, sizes: list[int]) -> None:
    cut = batches(torch.arange(n), batch_size)
    assert [len(batch) for batch in cut] == sizes
    assert torch.cat(cut).tolist() == list(range(n))
