import math
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.trainables import toys
from tests.trainables.states import identical
from trainables.data.dataset import Part, SearchData
from trainables.features import feature_cache
from trainables.hyperparameters import Config
from trainables.seeding import seed_everything
from trainables.trainable import TransferModel
from trainables.training import classification, gradient_descent
from trainables.training.epochs import BatchResult
from trainables.training.gradient_descent import Training

BATCH = {"batch_size": 16}
PLAIN: Config = {}


def build(
    config: Config | None = None, *, frozen: tuple[str, ...] = (), seed: int = 0, data: SearchData | None = None
) -> Training:
    seed_everything(seed)
    model = toys.model()
    model.freeze(frozen)
    return gradient_descent.build({"lr": 0.01, **BATCH, **(config or {})}, model, data or toys.data(), "cpu")


def test_a_frozen_stage_is_left_out_of_the_state_and_training_still_goes_on_exactly() -> None:
    unbroken = build(frozen=("first",))
    unbroken.step()
    state = deepcopy(unbroken.state_dict())
    assert not [key for key in state["weights"] if key.startswith("stages.first")]
    resumed = build(frozen=("first",))
    resumed.step()
    resumed.step()
    resumed.load_state_dict(state)
    assert resumed.step() == unbroken.step()


def test_each_epoch_sees_the_samples_in_a_new_order() -> None:
    made = build()
    orders = []
    for _ in range(2):
        orders.append(made.state_dict()["order"].clone())
        made.step()
    assert not torch.equal(*orders)


def test_two_trainings_that_take_turns_do_not_disturb_each_other() -> None:
    alone = build(seed=1)
    expected = [alone.step() for _ in range(3)]
    one, other = build(seed=1), build(seed=2)
    taken = []
    for _ in range(3):
        taken.append(one.step())
        other.step()
    assert taken == expected
    assert identical(one.state_dict(), alone.state_dict())


def test_the_state_counts_the_epochs() -> None:
    made = build()
    for _ in range(3):
        made.step()
    assert made.state_dict()["epoch"] == 3


def test_the_learning_rate_stands_under_the_key_that_is_named() -> None:
    model = toys.model()
    made = gradient_descent.build({"lr": 0.1, "first_lr": 0.2}, model, toys.data(), "cpu", lr="first_lr")
    assert made.state_dict()["optimizer"]["param_groups"][0]["lr"] == 0.2
    with pytest.raises(ValueError, match="`first_lr` must be above 0, but is -1"):
        gradient_descent.build({"first_lr": -1}, model, toys.data(), "cpu", lr="first_lr")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"optimizer": "lion"}, "`optimizer` must be one of adamw, adam, sgd, nag, timm:NAME, but is 'lion'"),
        ({"batch_size": 0}, "`batch_size` must be a whole number of at least 1, but is 0"),
        ({"clip_norm": 0}, "`clip_norm` must be above 0, but is 0"),
        ({"label_smoothing": 1}, "`label_smoothing` must be of at least 0 and below 1, but is 1"),
        ({"augmentation": "blur"}, "`augmentation` must be one of none, flip_jitter"),
        ({"mixing": "cutout"}, "`mixing` must be one of none, mixup, collage, cutmix, mixup_cutmix, but is 'cutout'"),
        ({"precision": "fp16"}, "`precision` must be one of fp32, bf16, auto, but is 'fp16'"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_name_before_anything_is_trained(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(config)


def test_penalty_and_smoothing_shape_the_training_and_validation_is_by_the_plain_cross_entropy() -> None:
    plain, shaped = build(), build({"l2": 0.5, "label_smoothing": 0.3})
    plain.step()
    metrics = shaped.step()
    assert not identical(plain.state_dict()["weights"], shaped.state_dict()["weights"])
    validation = toys.data().validation
    shaped.model.eval()
    with torch.no_grad():
        logits = shaped.model(validation.images)
    assert metrics["val_loss"] == pytest.approx(float(functional.cross_entropy(logits, validation.labels)), rel=1e-5)


def test_the_reported_training_loss_is_without_the_penalty() -> None:
    config: Config = {"optimizer": "sgd", "lr": 1e-30}
    assert build({**config, "l2": 50.0}).step()["train_loss"] == build(config).step()["train_loss"]


AGAINST_IMBALANCE: Config = {"class_weights": "balanced", "sampler": "balanced", "loss_function": "focal"}


def test_class_weights_count_the_images_of_the_training_part_and_are_0_for_a_class_that_has_none() -> None:
    data = toys.data()
    few = data.train.take([i for i in range(97) if data.train.labels[i] == 0 or (data.train.labels[i] == 1 and i < 8)])
    made = build({**AGAINST_IMBALANCE, "label_smoothing": 0.1}, data=SearchData(few, data.validation, data.classes))
    loss = made.classifier_loss
    assert loss is not None
    assert loss.class_weights is not None
    torch.testing.assert_close(loss.class_weights, torch.tensor([36 / (2 * 33), 36 / (2 * 3), 0.0]))
    assert all(math.isfinite(value) for value in made.step().values())


def test_weighing_and_drawing_are_the_same_on_cached_features_as_on_images(monkeypatch: pytest.MonkeyPatch) -> None:
    cached = build(AGAINST_IMBALANCE, frozen=("first",)).step()
    monkeypatch.setattr(feature_cache.SHARED, "fits", lambda *arguments: False)
    assert build(AGAINST_IMBALANCE, frozen=("first",)).step() == pytest.approx(cached, abs=1e-5)


def batch_result(
    config: Config, part: Part, *, augment: bool = True, model: nn.Module | None = None
) -> tuple[list[Tensor], BatchResult]:
    """The inputs that the network is given of a part, and the result of the objective."""
    seen: list[Tensor] = []
    network = model or nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    def forward(inputs: Tensor) -> Tensor:
        seen.append(inputs)
        logits: Tensor = network(inputs)
        return logits

    objective, changes_images = classification.build(config, toys.model(), part.labels, 3, augment=augment)
    assert changes_images == (augment and config != {})
    return seen, objective(forward, part.images, part.labels, torch.Generator().manual_seed(0))


def test_images_of_bytes_are_augmented_and_mixed_like_the_same_images_as_fractions() -> None:
    images = torch.randint(256, (12, 1, 8, 8), dtype=torch.uint8)
    part = Part(images, torch.arange(12) % 3)
    erased: Config = {"augmentation": "rand_augment", "random_erasing": 1.0}
    for config in ({"augmentation": "flip_rotation"}, erased, {"mixing": "mixup"}, {"mixing": "collage"}):
        (found,), _ = batch_result(config, part)
        (expected,), _ = batch_result(config, Part(images.float() / 255, part.labels))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected)
        assert not torch.equal(found, images.float() / 255)


class Bytes(nn.Module):
    """Takes bytes, as a model of stages does."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).float() / 255


def test_images_that_nothing_changes_go_to_the_network_as_they_are() -> None:
    part = Part(torch.randint(256, (12, 1, 8, 8), dtype=torch.uint8), torch.arange(12) % 3)
    for config, augment in ((PLAIN, True), ({"augmentation": "flip_rotation", "mixing": "mixup"}, False)):
        (found,), _ = batch_result(config, part, augment=augment, model=nn.Sequential(Bytes(), nn.Linear(64, 3)))
        assert found is part.images


def test_targets_are_mixed_like_the_images() -> None:
    part, model = toys.part(12, seed=0), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    (mixed,), found = batch_result({"mixing": "mixup"}, part, model=model)
    with torch.no_grad():
        logits = model(mixed)
    assert found.n_samples == 12
    assert float(found.loss) != pytest.approx(float(functional.cross_entropy(logits, part.labels)), rel=1e-3)
    assert float(found.total_loss.detach()) == float(found.loss)


def test_the_answer_of_a_mixed_image_is_the_class_of_its_larger_share() -> None:
    values = torch.arange(40) % 2
    part = Part(values.float().reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8).clone(), values)  # black is 0, white is 1
    seen, found = batch_result({"mixing": "mixup"}, part, model=Brighter())
    assert int(found.n_correct) == 40
    larger = (seen[0].mean(dim=(1, 2, 3)) > 0.5).long()
    assert not torch.equal(larger, part.labels)


class Brighter(nn.Module):
    """Says 1 of a bright image, 0 of a dark one."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(9.0))

    def forward(self, images: Tensor) -> Tensor:
        bright = self.sharpness * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-bright, bright, torch.full_like(bright, -99.0)], dim=1)


def test_another_model_may_be_validated_than_the_one_that_trains() -> None:
    seed_everything(0)
    model, data = toys.model(), toys.data()
    other = TransferModel(dict(model.stages.items()), nn.Sequential(nn.Flatten(), nn.Linear(32, 5)))
    objective, _ = classification.build({}, other, data.train.labels, 5)
    optimization = gradient_descent.build_optimization({"lr": 0.01}, other, objective, "cpu")
    made = Training(other, data, optimization, "cpu", validated_model=model)
    head = deepcopy(model.head.state_dict())
    metrics = made.step()
    assert made.model is model
    assert metrics["val_loss"] == made.evaluate(data.validation)["loss"]
    assert made.predict(data.validation).shape == (48, 3)
    assert identical(model.head.state_dict(), head)


def test_what_comes_first_and_is_frozen_is_hashed_once_a_training() -> None:
    class Told(nn.Linear):
        n_asked = 0

        def named_buffers(self, *arguments: Any, **named: Any) -> Any:
            Told.n_asked += 1
            return super().named_buffers(*arguments, **named)

    model = TransferModel({"flatten": nn.Flatten(), "told": Told(64, 8)}, nn.Linear(8, 3))
    model.freeze(["flatten", "told"])
    made = gradient_descent.build({}, model, toys.data(), "cpu")
    for _ in range(3):
        made.step()
    assert Told.n_asked == 1


@pytest.mark.parametrize("frozen", [(), ("first",)])
def test_half_the_precision_gives_nearly_the_same_figures(frozen: tuple[str, ...]) -> None:
    data = toys.data()
    full, half = (build({"precision": precision}, frozen=frozen, data=data).step() for precision in ("fp32", "bf16"))
    assert full != half
    assert half["train_loss"] == pytest.approx(full["train_loss"], rel=0.05)
    assert half["val_loss"] == pytest.approx(full["val_loss"], rel=0.05)


def test_a_training_in_half_the_precision_keeps_whole_weights_and_goes_on_exactly() -> None:
    unbroken = build({"precision": "bf16"}, frozen=("first",))
    unbroken.step()
    state = deepcopy(unbroken.state_dict())
    assert all(value.dtype in (torch.float32, torch.int64) for value in state["weights"].values())
    resumed = build({"precision": "bf16"}, frozen=("first",))
    resumed.load_state_dict(state)
    assert resumed.step() == unbroken.step()


def test_auto_computes_as_fp32_does_on_the_cpu() -> None:
    assert not gradient_descent.is_bf16({"precision": "auto"}, "cpu")
    assert not gradient_descent.is_bf16({}, "cpu")
    assert gradient_descent.is_bf16({"precision": "bf16"}, "cpu")
