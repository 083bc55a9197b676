from copy import deepcopy

import torch

from tests.trainables import toys
from tests.trainables.states import identical
from trainables import optimizers
from trainables.seeding import seed_everything
from trainables.splits import SearchData
from trainables.training import Training


def build(*, frozen: tuple[str, ...] = (), seed: int = 0, data: SearchData | None = None) -> Training:
    seed_everything(seed)
    model = toys.model()
    model.freeze(frozen)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = optimizers.build(trained, {"lr": 0.01})
    return Training(model, data or toys.data(), optimizer, optimizers.schedule(optimizer, {}), batch_size=16)


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
    training = build()
    orders = []
    for _ in range(2):
        orders.append(training.state_dict()["order"].clone())
        training.step()
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
    training = build()
    for _ in range(3):
        training.step()
    assert training.state_dict()["epoch"] == 3
