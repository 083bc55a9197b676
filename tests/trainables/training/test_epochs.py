from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.trainables import toys
from trainables.training import schedules
from trainables.training.epochs import (
    BatchResult,
    Forward,
    Optimization,
    Samples,
    batches,
    compute_logits,
    compute_metrics,
    n_batches,
    n_correct,
    train_epoch,
)


class Recorder(nn.Module):
    """A linear model that remembers the batches it was given and the mode it was in."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)
        self.seen: list[Tensor] = []
        self.modes: set[bool] = set()

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        self.modes.add(self.training)
        logits: Tensor = self.linear(images.flatten(1))
        return logits


def samples(n: int) -> Samples:
    part = toys.part(n, seed=0)
    return Samples(part.images, part.labels)


def cross_entropy(forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> BatchResult:
    logits = forward(inputs)
    loss = functional.cross_entropy(logits, labels)
    return BatchResult(2 * loss, loss.detach(), n_correct(logits, labels), len(labels))


def optimization(model: nn.Module, batch_size: int, lr: float = 0.0, clip_norm: float | None = None) -> Optimization:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    schedule = schedules.build(optimizer, {"schedule": "exponential", "gamma": 0.5})
    return Optimization(optimizer, schedule, cross_entropy, batch_size, clip_norm)


def epoch(
    model: nn.Module, trained: Samples, *, batch_size: int, lr: float = 0.0, seed: int = 0
) -> tuple[float, float]:
    return train_epoch(model, model, trained, optimization(model, batch_size, lr), torch.Generator().manual_seed(seed))


def exact(model: Recorder, part: Samples) -> tuple[float, float]:
    with torch.no_grad():
        logits = model.linear(part.inputs.flatten(1))
    accuracy = (logits.argmax(1) == part.labels).float().mean()
    return float(functional.cross_entropy(logits, part.labels)), float(accuracy)


def gradient(model: Recorder, part: Samples) -> Tensor:
    """Of what is minimised, with respect to the weights."""
    weight = model.linear.weight.detach().clone().requires_grad_()
    logits = functional.linear(part.inputs.flatten(1), weight, model.linear.bias.detach())
    (found,) = torch.autograd.grad(2 * functional.cross_entropy(logits, part.labels), weight)
    return found


def test_an_epoch_trains_on_each_sample_once_in_batches_of_the_asked_size() -> None:
    model, part = Recorder(), samples(22)
    epoch(model, part, batch_size=6)
    assert [len(images) for images in model.seen] == [6, 6, 6, 4]
    order = torch.cat(model.seen).flatten(1)
    assert not torch.equal(order, part.inputs.flatten(1))
    assert sorted(order.tolist()) == sorted(part.inputs.flatten(1).tolist())
    assert model.modes == {True}


def test_the_order_follows_from_the_generator_and_differs_from_epoch_to_epoch() -> None:
    model, part = Recorder(), samples(22)
    for seed in (0, 0, 1):
        epoch(model, part, batch_size=22, seed=seed)
    first, second, third = model.seen
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_a_sampler_says_which_samples_an_epoch_trains_on_and_in_which_order() -> None:
    model, part = Recorder(), samples(22)
    chosen = replace(
        optimization(model, batch_size=3), sampler=lambda generator: torch.randint(4, (5,), generator=generator)
    )
    drawn = torch.randint(4, (5,), generator=torch.Generator().manual_seed(1))
    loss, _ = train_epoch(model, model, part, chosen, torch.Generator().manual_seed(1))
    assert torch.equal(torch.cat(model.seen), part.inputs[drawn])
    assert loss == pytest.approx(exact(model, Samples(part.inputs[drawn], part.labels[drawn]))[0], rel=1e-5)


def test_means_are_over_samples_so_that_a_short_last_batch_counts_less() -> None:
    model, part = Recorder(), samples(23)
    expected = pytest.approx(exact(model, part), rel=1e-5)
    assert epoch(model, part, batch_size=10) == expected
    for batch_size in (10, 256):
        result = compute_metrics(compute_logits(model, model, part, batch_size=batch_size), part.labels)
        assert (result["loss"], result["accuracy"]) == expected


def test_training_follows_the_gradient_of_what_is_minimised() -> None:
    model, part = Recorder(), samples(24)
    before, downhill = model.linear.weight.detach().clone(), gradient(model, part)
    epoch(model, part, batch_size=24, lr=0.5)
    torch.testing.assert_close(model.linear.weight.detach(), before - 0.5 * downhill)


def test_each_step_follows_the_gradient_of_its_own_batch_alone() -> None:
    model, other = Recorder(), Recorder()
    other.load_state_dict(model.state_dict())
    one = samples(1)
    alike = Samples(one.inputs.repeat(4, 1, 1, 1), one.labels.repeat(4))  # so that the order is of no matter
    epoch(model, alike, batch_size=2, lr=0.1)
    for _ in range(2):
        other.zero_grad()
        epoch(other, Samples(alike.inputs[:2], alike.labels[:2]), batch_size=2, lr=0.1)
    torch.testing.assert_close(model.linear.weight, other.linear.weight)


def test_gradients_of_too_great_a_norm_over_all_parameters_are_scaled_down() -> None:
    model, part = Recorder(), samples(24)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    train_epoch(model, model, part, optimization(model, 24, lr=1.0, clip_norm=1e-3), torch.Generator())
    steps = [parameter.detach() - start for parameter, start in zip(model.parameters(), before, strict=True)]
    assert float(torch.cat([step.flatten() for step in steps]).norm()) == pytest.approx(1e-3, rel=1e-3)


def test_gradients_within_the_norm_are_left_as_they_are() -> None:
    model, part = Recorder(), samples(24)
    before, downhill = model.linear.weight.detach().clone(), gradient(model, part)
    train_epoch(model, model, part, optimization(model, 24, lr=1.0, clip_norm=1e3), torch.Generator())
    torch.testing.assert_close(model.linear.weight.detach(), before - downhill)


def test_the_schedule_goes_on_from_epoch_to_epoch() -> None:
    model = Recorder()
    chosen = optimization(model, batch_size=6, lr=1.0)
    rates = []
    for _ in range(3):
        train_epoch(model, model, samples(22), chosen, torch.Generator())
        rates.append(chosen.optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 0.5, 0.25]


def test_each_step_of_an_epoch_has_a_rate_of_its_own() -> None:
    """Steps along a gradient that is always the same are as long as the rates."""

    def total(forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> BatchResult:
        weights.append(float(model.linear.bias.detach()[0]))
        loss = model.linear.bias.sum()
        return BatchResult(loss, loss.detach(), torch.tensor(0), len(labels))

    model, weights = Recorder(), list[float]()
    chosen = replace(optimization(model, batch_size=6, lr=1.0), objective=total)
    chosen = replace(chosen, schedule=schedules.build(chosen.optimizer, {"warmup_steps": 5}))
    for _ in range(2):
        train_epoch(model, model, samples(24), chosen, torch.Generator())
    lengths = [before - after for before, after in pairwise(weights)]
    assert lengths == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1], rel=1e-5)


def test_a_mean_over_some_samples_of_a_batch_counts_as_much_as_they_are() -> None:
    results = iter([(1.0, 2, 3), (4.0, 0, 1), (9.0, 0, 0)])

    def some(forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> BatchResult:
        loss, correct, n = next(results)
        return BatchResult(forward(inputs).sum(), torch.tensor(loss), torch.tensor(correct), n)

    model = Recorder()
    chosen = replace(optimization(model, batch_size=8), objective=some)
    assert train_epoch(model, model, samples(24), chosen, torch.Generator()) == (7 / 4, 2 / 4)


def test_an_epoch_in_which_no_sample_counts_has_a_loss_of_zero() -> None:
    def none(forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> BatchResult:
        return BatchResult(0 * forward(inputs).sum(), torch.zeros(()), torch.tensor(0), 0)

    model = Recorder()
    chosen = replace(optimization(model, batch_size=8), objective=none)
    assert train_epoch(model, model, samples(24), chosen, torch.Generator()) == (0.0, 0.0)


def test_what_is_random_in_an_objective_follows_from_the_generator_of_the_epoch() -> None:
    drawn: list[float] = []

    def noisy(forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> BatchResult:
        drawn.append(float(torch.rand((), generator=generator)))
        return cross_entropy(forward, inputs, labels, generator)

    model = Recorder()
    for seed in (1, 1, 2):
        chosen = replace(optimization(model, batch_size=24), objective=noisy)
        train_epoch(model, model, samples(24), chosen, torch.Generator().manual_seed(seed))
    assert drawn[0] == drawn[1] != drawn[2]


def test_validation_runs_in_evaluation_mode_and_records_no_gradient() -> None:
    model = Recorder()
    compute_logits(model, model, samples(6))
    assert model.modes == {False}
    assert model.linear.weight.grad is None


def test_validation_changes_no_running_statistics() -> None:
    model = toys.model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    compute_logits(model, model, samples(6))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_logits_are_in_the_order_of_the_samples() -> None:
    model, part = Recorder(), samples(23)
    logits = compute_logits(model, model, part, batch_size=10)
    torch.testing.assert_close(logits, model.linear(part.inputs.flatten(1)).detach())
    assert model.modes == {False}


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(7, 3, [3, 4]), (8, 3, [3, 3, 2]), (3, 1, [1, 1, 1]), (1, 4, [1]), (4, 9, [4]), (5, 4, [5])],
)
def test_a_last_batch_of_one_joins_the_batch_before_it(n: int, batch_size: int, sizes: list[int]) -> None:
    cut = batches(torch.arange(n), batch_size)
    assert [len(batch) for batch in cut] == sizes
    assert n_batches(n, batch_size) == len(sizes)
    assert torch.cat(cut).tolist() == list(range(n))
