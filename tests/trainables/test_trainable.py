import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.trainables import toys
from trainables.trainable import HEAD, TransferModel

IMAGES = toys.part(12, seed=0).images


def step(model: TransferModel) -> None:
    """One step of gradient descent on random labels."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    functional.cross_entropy(model(IMAGES), torch.arange(12) % 3).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


class Digit(nn.Module):
    """Appends a digit to the number that each value is."""

    def __init__(self, digit: int) -> None:
        super().__init__()
        self.digit = digit

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return 10 * numbers + self.digit


def test_images_go_through_the_stages_in_order_and_then_the_head() -> None:
    model = TransferModel({"b": Digit(2), "a": Digit(1)}, Digit(3))
    images = torch.ones(2, 1, 1, 1)
    assert model(images).tolist() == [[[[1213]]]] * 2
    assert model.features(images).tolist() == [[[[121]]]] * 2
    assert model.run_stages(images, 1, 2).tolist() == [[[[11]]]] * 2
    assert torch.equal(model.run_stages(images, 1, 1), images)


def test_bytes_and_fractions_of_full_brightness_are_the_same_image() -> None:
    model = toys.model()
    images = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    model.normalize([0.4], [0.2])
    torch.testing.assert_close(model.preprocess(images), model.preprocess(images.float() / 255))
    assert model.preprocess(images).dtype == torch.float32


def test_images_are_normalised_channel_by_channel_and_stay_as_they_were() -> None:
    model = TransferModel({}, nn.Identity())
    images = torch.full((2, 3, 1, 1), 0.5)
    assert torch.equal(model(images), images)
    model.normalize([0.5, 0.25, 0.0], [1.0, 0.5, 0.25])
    torch.testing.assert_close(model(images).flatten(1), torch.tensor([[0.0, 0.5, 2.0]] * 2))
    assert images.eq(0.5).all()


def test_a_channel_that_never_varies_is_not_divided() -> None:
    model = TransferModel({}, nn.Identity())
    model.normalize([0.5, 0.5], [0.0, 0.5])
    assert model(torch.full((1, 2, 1, 1), 0.75)).flatten().tolist() == [0.25, 0.5]


def test_the_normalisation_is_no_part_of_the_state() -> None:
    model = toys.model()
    model.normalize([0.4], [0.2])
    assert not [key for key in model.state_dict() if key in ("mean", "std")]
    other = toys.model()
    other.load_state_dict(model.state_dict())
    assert other.mean.eq(0).all()


def test_no_stage_may_have_the_name_of_the_head() -> None:
    with pytest.raises(ValueError, match="no stage may have the name 'head'"):
        TransferModel({"head": nn.Identity()}, nn.Identity())


@pytest.mark.parametrize("classifier", [("a",), ("b", "a"), ("c",), ("a", "b", "c")])
def test_a_classifier_that_is_not_the_last_of_the_stages_is_refused(classifier: tuple[str, ...]) -> None:
    stages = {"a": nn.Identity(), "b": nn.Identity()}
    assert TransferModel(stages, nn.Identity(), classifier=("a", "b")).classifier == ("a", "b")
    assert TransferModel(stages, nn.Identity(), classifier=("b",)).classifier == ("b",)
    with pytest.raises(ValueError, match=f"the classifier must be the last of the stages, but is {classifier[0]}"):
        TransferModel(stages, nn.Identity(), classifier=classifier)


def test_a_frozen_stage_changes_neither_weights_nor_running_statistics() -> None:
    model = toys.model()
    model.freeze(["first"])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    step(model)
    changed = {key.split(".")[1] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"second", "1"}


def test_a_frozen_stage_stays_in_evaluation_mode_while_the_others_train() -> None:
    model = toys.model()
    model.eval()
    model.freeze(["second"])
    model.train()
    assert (model.stages["first"].training, model.stages["second"].training, model.head.training) == (True, False, True)
    model.eval()
    assert not model.stages["first"].training


def test_freezing_a_model_in_training_stops_its_dropout_at_once() -> None:
    model = toys.model()
    model.freeze(["first", "second"])
    assert torch.equal(model(IMAGES), model(IMAGES))


def test_gradients_pass_through_a_frozen_stage_to_one_before_it() -> None:
    model = toys.model()
    model.freeze(["second"])
    before = toys.first_weight(model)
    step(model)
    assert not torch.equal(toys.first_weight(model), before)


def test_freezing_thaws_what_is_not_named() -> None:
    model = toys.model()
    model.freeze(["first", "second"])
    model.freeze(["first"])
    assert model.frozen == {"first"}
    assert model.stages["second"].training
    assert all(parameter.requires_grad for parameter in model.stages["second"].parameters())


def test_an_unknown_stage_is_refused_with_those_there_are() -> None:
    model = toys.model()
    with pytest.raises(ValueError, match=r"unknown stage 'third' \(allowed: first, second, head\)"):
        model.freeze(["first", "third"])
    assert model.frozen == frozenset()


def test_freezing_all_that_has_weights_is_refused_and_leaves_the_model_as_it_was() -> None:
    model = TransferModel({"a": nn.Linear(1, 1), "b": nn.ReLU()}, nn.Linear(1, 1))
    with pytest.raises(ValueError, match="nothing is left to train: a, head would be frozen, and the rest has no weig"):
        model.freeze(["head", "a"])
    assert model.frozen == frozenset()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_head_freezes_like_a_stage() -> None:
    model = toys.model()
    model.freeze([HEAD])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    step(model)
    changed = {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"stages"}
    assert not model.head.training


@pytest.mark.parametrize(
    ("frozen", "n"),
    [((), 0), (("first",), 1), (("second",), 0), (("first", "second"), 2), (("first", HEAD), 1), ((HEAD,), 0)],
)
def test_the_frozen_first_stages_are_counted_up_to_the_first_that_trains(frozen: tuple[str, ...], n: int) -> None:
    model = toys.model()
    model.freeze(frozen)
    assert model.n_frozen_first == n


def test_the_state_of_some_parts_is_theirs_alone() -> None:
    model = toys.model()
    assert {key.split(".")[1] for key in model.state_of(["second"])} == {"second"}
    assert set(model.state_of([HEAD])) == {"head.1.weight", "head.1.bias"}
    assert model.state_of([]) == {}
    assert (
        model.state_of(["first"])["stages.first.0.weight"].data_ptr()
        == model.get_parameter("stages.first.0.weight").data_ptr()
    )


def test_the_trained_state_leaves_frozen_stages_out_and_brings_the_rest_back() -> None:
    model, other = toys.model(), toys.model()
    for one in (model, other):
        one.freeze(["first"])
    own = toys.first_weight(other)
    state = model.trained_state()
    assert not [key for key in state if key.startswith("stages.first")]
    other.load_trained_state(state)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in state.items())
    assert torch.equal(toys.first_weight(other), own)


def test_the_state_of_another_freezing_is_refused() -> None:
    model, other = toys.model(), toys.model()
    other.freeze(["first"])
    with pytest.raises(ValueError, match=r"only one of them has 'stages\.first"):
        model.load_trained_state(other.trained_state())


BIASES = ("stages.second.1.bias",)


def test_only_the_named_weights_of_a_stage_train_with_the_head() -> None:
    model = toys.model()
    model.train_only(BIASES)
    before = {key: value.clone() for key, value in model.named_parameters()}
    step(model)
    changed = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    assert changed == {*BIASES, "head.1.weight", "head.1.bias"}


def test_a_stage_of_which_no_weight_trains_is_frozen_and_the_others_are_in_training_mode() -> None:
    model = toys.model()
    model.mark_pretrained()
    model.train_only(BIASES)
    model.train()
    assert model.frozen == model.pretrained == {"first"}
    assert model.n_frozen_first == 1
    assert (model.stages["first"].training, model.stages["second"].training) == (False, True)


def test_the_trained_state_leaves_out_the_frozen_weights_of_a_stage_but_not_its_running_statistics() -> None:
    model, other = toys.model(), toys.model()
    for one in (model, other):
        one.train_only(BIASES)
    statistics = {f"stages.second.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert set(model.trained_state()) == {*BIASES, *statistics, "head.1.weight", "head.1.bias"}
    step(model)
    other.load_trained_state(model.trained_state())
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.trained_state().items())


def test_freezing_stages_thaws_the_weights_of_the_others() -> None:
    model = toys.model()
    model.train_only(BIASES)
    model.freeze(["first"])
    assert "stages.second.0.weight" in model.trained_state()
    assert all(parameter.requires_grad for parameter in model.stages["second"].parameters())


def test_a_weight_to_train_that_no_stage_has_is_refused() -> None:
    model = toys.model()
    for name in ("stages.third.bias", "head.1.bias"):
        with pytest.raises(ValueError, match=f"no stage has the weight '{name}'"):
            model.train_only([name])
