import random

import numpy as np
import pytest
import torch

from trainables.seeding import random_state, seed_everything, set_random_state


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_one_seed_fixes_python_numpy_and_torch() -> None:
    seen = []
    for seed in (1, 1, 2):
        seed_everything(seed)
        seen.append(draws())
    assert seen[0] == seen[1]
    assert all(one != other for one, other in zip(seen[0], seen[2], strict=True))


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 2**63 - 1])
def test_any_seed_of_up_to_63_bits_will_do(seed: int) -> None:
    seed_everything(seed)


def test_a_restored_state_repeats_what_was_drawn() -> None:
    state = random_state("cpu")
    drawn = torch.rand(3)
    torch.manual_seed(0)
    set_random_state(state, "cpu")
    assert torch.equal(torch.rand(3), drawn)


def test_a_state_is_not_changed_by_drawing() -> None:
    state = random_state("cpu")
    kept = state["cpu"].clone()
    torch.rand(3)
    assert torch.equal(state["cpu"], kept)


@pytest.mark.cuda
def test_on_cuda_the_state_is_that_of_the_device_too() -> None:
    state = random_state("cuda")
    drawn = torch.rand(3, device="cuda")
    set_random_state(state, "cuda")
    assert torch.equal(torch.rand(3, device="cuda"), drawn)
