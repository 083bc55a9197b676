import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.trainables import toys
from trainables.trainable import TransferModel

IMAGES = toys.part(12, seed=0).images


def step(model: TransferModel) -> None:
    """One step of gradient descent on random labels."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    functional.cross_entropy(model(IMAGES), torch.arange(12) % 3).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def test_images_go_through_the_stages_in_order_and_then_the_head() -> None:
    class Append(nn.Module):
        def __init__(self, letter: str) -> None:
            super().__init__()
            self.letter = letter

        def forward(self, word: str) -> str:
            return word + self.letter

    assert TransferModel({"b": Append("b"), "a": Append("a")}, Append("c"))("") == "bac"


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
    with pytest.raises(ValueError, match=r"unknown stage 'third' \(allowed: first, second\)"):
        model.freeze(["first", "third"])
    assert model.frozen == frozenset()


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
