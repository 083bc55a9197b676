from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.fused.stacked_losses import StackedLoss
from trainables.training.losses import Loss

N_CLASSES, CPU = 4, torch.device("cpu")

losses = st.builds(
    Loss,
    label_smoothing=st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    class_weights=st.none()
    | st.lists(st.floats(0.1, 10), min_size=N_CLASSES, max_size=N_CLASSES).map(lambda each: torch.tensor(each)),
    focal_gamma=st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0, 3.7]),
)


class Batch(NamedTuple):
    """Logits and labels of several heads, of which only the first ones of a row are samples."""

    logits: Tensor
    labels: Tensor
    sizes: list[int]

    @property
    def weight(self) -> float | Tensor:
        if len(set(self.sizes)) == 1:
            return 1 / self.sizes[0]
        sizes = torch.tensor(self.sizes)[:, None]
        return torch.where(torch.arange(int(sizes.max())) < sizes, 1 / sizes, 0.0).unsqueeze(2)


def batch(sizes: list[int], seed: int = 0, scale: float = 3.0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    shape = len(sizes), max(sizes)
    logits = scale * torch.randn(*shape, N_CLASSES, generator=generator)
    return Batch(logits, torch.randint(N_CLASSES, shape, generator=generator), sizes)


def check_as_autograd(members: list[Loss], given: Batch) -> None:
    found = StackedLoss(members, CPU)(given.logits, given.labels, given.weight)
    for i, (loss, size) in enumerate(zip(members, given.sizes, strict=False)):
        logits, labels = given.logits[i, :size].clone().requires_grad_(), given.labels[i, :size]
        mean = loss.mean(logits, labels)
        (gradient,) = torch.autograd.grad(mean, logits)
        torch.testing.assert_close(found.loss_sum[i], mean.detach() * size, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.gradient[i, :size], gradient, rtol=1e-5, atol=1e-6)
        assert not found.gradient[i, size:].any()
        assert int(found.n_correct[i]) == int((logits.argmax(dim=1) == labels).sum())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(losses, st.integers(1, 9)), min_size=1, max_size=4), st.integers(0, 99))
def test_each_head_has_the_loss_and_the_gradient_that_autograd_finds(
    members: list[tuple[Loss, int]], seed: int
) -> None:
    check_as_autograd([loss for loss, _ in members], batch([size for _, size in members], seed))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_head_without_any_of_it_keeps_its_loss_beside_one_with_all_of_it(smoothing: float) -> None:
    weights = torch.tensor([0.0, 1.0, 2.0, 30.0])
    members = [Loss(), Loss(smoothing, class_weights=weights, focal_gamma=0.5), Loss(focal_gamma=2.0)]
    check_as_autograd(members, batch([5, 5, 5], seed=1)._replace(labels=torch.full((3, 5), 3)))


def test_only_the_first_heads_may_have_a_batch_left() -> None:
    members = [Loss(0.1, focal_gamma=1.0), Loss(class_weights=torch.tensor([1.0, 2.0, 3.0, 4.0])), Loss()]
    given = batch([4, 4, 4])
    loss = StackedLoss(members, CPU)
    for k in (1, 2):
        first = loss(given.logits[:k], given.labels[:k], given.weight)
        torch.testing.assert_close(first.loss_sum, loss(given.logits, given.labels, given.weight).loss_sum[:k])


def test_certain_predictions_have_finite_gradients() -> None:
    logits = torch.tensor([[[200.0, 0, 0, 0], [0, 200.0, 0, 0]]])
    for loss in (Loss(focal_gamma=0.5), Loss(0.1, focal_gamma=0.5)):
        found = StackedLoss([loss], CPU)(logits.clone(), torch.tensor([[0, 2]]), 0.5)
        assert torch.isfinite(found.loss_sum).all()
        assert torch.isfinite(found.gradient).all()
