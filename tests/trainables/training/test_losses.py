import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.trainables import toys
from tests.trainables.declarations import Recording, declared
from trainables.hyperparameters import Config
from trainables.trainable import TransferModel
from trainables.training import losses

LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 2, 1, 1, 0])


def build(config: Config, model: TransferModel) -> losses.Loss:
    return losses.build(config, model, LABELS, 3)


def shares(labels: Tensor) -> Tensor:
    return functional.one_hot(labels, 3).float()


def test_without_keys_the_loss_is_the_mean_cross_entropy_and_nothing_is_added() -> None:
    loss = build({}, toys.model())
    by_hand = -LOGITS.log_softmax(dim=1)[range(5), LABELS].mean()
    torch.testing.assert_close(loss.mean(LOGITS, LABELS), by_hand)
    assert loss.penalty() is None


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"label_smoothing": 0.3},
        {"class_weights": "balanced"},
        {"class_weights": "balanced", "label_smoothing": 0.3},
        {"loss_function": "focal", "class_weights": "effective", "label_smoothing": 0.3},
    ],
)
def test_targets_as_shares_of_classes_give_what_labels_give(config: Config) -> None:
    loss = build(config, toys.model())
    torch.testing.assert_close(loss.mean(LOGITS, shares(LABELS)), loss.mean(LOGITS, LABELS))


def test_the_loss_of_a_mixed_target_is_the_mix_of_the_losses() -> None:
    loss = build({}, toys.model())
    other = LABELS.roll(1)
    mixed = loss.mean(LOGITS, 0.3 * shares(LABELS) + 0.7 * shares(other))
    expected = 0.3 * loss.mean(LOGITS, LABELS) + 0.7 * loss.mean(LOGITS, other)
    torch.testing.assert_close(mixed, expected)


def test_label_smoothing_spreads_its_share_evenly_over_all_classes() -> None:
    loss = build({"label_smoothing": 0.3}, toys.model())
    expected = losses.Loss().mean(LOGITS, 0.7 * shares(LABELS) + 0.1)
    torch.testing.assert_close(loss.mean(LOGITS, LABELS), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_with_class_weights_it_is_pytorch_s_weighted_cross_entropy(smoothing: float) -> None:
    loss = build({"class_weights": "balanced", "label_smoothing": smoothing}, toys.model())
    weights = 5 / (3 * torch.tensor([2.0, 2.0, 1.0]))
    expected = functional.cross_entropy(LOGITS, LABELS, weights, label_smoothing=smoothing)
    assert torch.equal(loss.mean(LOGITS, LABELS), expected)


def test_the_weighted_loss_is_divided_by_the_weights_of_the_batch_also_for_mixed_targets() -> None:
    loss = losses.Loss(class_weights=torch.tensor([1.0, 2.0, 4.0]))
    mixed = 0.3 * shares(LABELS) + 0.7 * shares(LABELS.roll(1))
    sample_weights = mixed @ torch.tensor([1.0, 2.0, 4.0])
    weighted = -(mixed * torch.tensor([1.0, 2.0, 4.0]) * LOGITS.log_softmax(dim=1)).sum()
    torch.testing.assert_close(loss.mean(LOGITS, mixed), weighted / sample_weights.sum())


def test_weights_that_are_all_alike_change_nothing_whatever_their_size() -> None:
    for targets in (LABELS, shares(LABELS)):
        weighted = losses.Loss(label_smoothing=0.1, focal_gamma=1.5, class_weights=torch.full((3,), 7.0))
        torch.testing.assert_close(
            weighted.mean(LOGITS, targets), losses.Loss(label_smoothing=0.1, focal_gamma=1.5).mean(LOGITS, targets)
        )


def test_the_focal_loss_is_the_cross_entropy_of_each_image_times_a_power_of_the_failure() -> None:
    loss = build({"loss_function": "focal", "focal_gamma": 1.5}, toys.model())
    p = LOGITS.softmax(dim=1)[range(5), LABELS]
    torch.testing.assert_close(loss.mean(LOGITS, LABELS), -((1 - p) ** 1.5 * p.log()).mean())
    default = build({"loss_function": "focal"}, toys.model())
    torch.testing.assert_close(default.mean(LOGITS, LABELS), -((1 - p) ** 2 * p.log()).mean())


def test_a_focal_loss_with_exponent_0_is_the_cross_entropy_bit_for_bit() -> None:
    loss = build({"loss_function": "focal", "focal_gamma": 0, "label_smoothing": 0.1}, toys.model())
    assert torch.equal(loss.mean(LOGITS, LABELS), functional.cross_entropy(LOGITS, LABELS, label_smoothing=0.1))
    assert build({"focal_gamma": 3.0}, toys.model()).focal_gamma == 0, "the cross-entropy has no exponent"


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0, 5.0])
def test_the_gradient_of_the_focal_loss_is_finite_for_certain_and_for_impossible_classes(gamma: float) -> None:
    logits = torch.tensor([[0.0, 1000.0, -1000.0], [0.0, 30.0, 0.0]], requires_grad=True)
    loss = losses.Loss(label_smoothing=0.1, focal_gamma=gamma)
    for targets in (torch.tensor([1, 1]), torch.tensor([2, 0])):
        value = loss.mean(logits, targets)
        (gradient,) = torch.autograd.grad(value, logits)
        assert torch.isfinite(value)
        assert torch.isfinite(gradient).all()


def test_the_penalty_is_the_factor_times_the_sum_of_squares_of_the_head_s_weights_without_its_bias() -> None:
    model = toys.model()
    (linear,) = (layer for layer in model.head.modules() if isinstance(layer, nn.Linear))
    nn.init.constant_(linear.weight, 2.0)
    nn.init.constant_(linear.bias, 100.0)
    penalty = build({"l2": 0.5}, model).penalty()
    assert penalty is not None
    assert penalty.item() == 0.5 * linear.weight.numel() * 4


def test_the_penalty_on_all_leaves_out_biases_and_what_batchnorm_trains() -> None:
    model = toys.model()
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    squares = sum(layer.weight.square().sum().item() for layer in layers)
    penalty = build({"l2": 0.1, "l2_on": "all"}, model).penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.1 * squares)


def test_the_penalty_on_all_leaves_out_what_is_frozen() -> None:
    model = toys.model()
    model.freeze(["first"])
    weights = build({"l2": 0.1, "l2_on": "all"}, model).weights
    trained = {name for name, value in model.named_parameters() if any(value is weight for weight in weights)}
    assert trained == {"stages.second.0.weight", "head.1.weight"}


def test_the_penalty_follows_the_weights_as_they_train_and_pulls_them_to_zero() -> None:
    model = toys.model()
    loss = build({"l2": 0.25}, model)
    (weight,) = loss.weights
    penalty = loss.penalty()
    assert penalty is not None
    penalty.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(weight.grad, 2 * 0.25 * weight)
    with torch.no_grad():
        weight.mul_(2)
    doubled = loss.penalty()
    assert doubled is not None
    torch.testing.assert_close(doubled, 4 * penalty)


def frozen_head() -> TransferModel:
    model = toys.model()
    model.freeze(["head"])
    return model


def test_a_frozen_head_has_no_weights_to_sum_and_that_is_refused() -> None:
    message = "`l2_on` must name a part with weights that train, where `l2` is above 0, but is 'head'"
    with pytest.raises(ValueError, match=message):
        build({"l2": 0.1}, frozen_head())
    assert build({"l2": 0.1, "l2_on": "all"}, frozen_head()).weights


def test_a_frozen_head_is_as_good_as_any_where_no_penalty_is_asked_for() -> None:
    assert build({"l2": 0}, frozen_head()).penalty() is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"label_smoothing": 1.0}, "`label_smoothing` must be of at least 0 and below 1, but is 1.0"),
        ({"loss_function": "hinge"}, "`loss_function` must be one of cross_entropy, focal, but is 'hinge'"),
        ({"focal_gamma": -1}, "`focal_gamma` must be of at least 0, but is -1"),
        ({"class_weights": "sqrt"}, "`class_weights` must be one of none, balanced, effective, but is 'sqrt'"),
        ({"l2": -1e-4}, "`l2` must be of at least 0, but is -0.0001"),
        ({"l2_on": "body"}, "`l2_on` must be one of head, all, first, second, but is 'body'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(config, toys.model())


def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read() -> None:
    recording = Recording({})
    build(recording, toys.model())
    assert recording.read == set(declared("trainables.training.losses"))


def test_the_weights_of_one_stage_may_be_summed() -> None:
    model = toys.model()
    loss = build({"l2": 0.5, "l2_on": "second"}, model)
    expected = 0.5 * model.get_parameter("stages.second.0.weight").square().sum()
    assert torch.equal(loss.penalty() or torch.tensor(0.0), expected)
