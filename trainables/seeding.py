"""Random generators of Python, NumPy and torch: seed them, and save and restore their states."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch, on the CPU and on every CUDA device.

    `seed` is at least 0. NumPy takes only 32 bits, so it gets the seed modulo 2**32.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # torch.manual_seed is slower: it formats a stack trace for each kind of accelerator that is absent.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def random_state(device: str | torch.device) -> dict[str, Tensor]:
    """Return the state of torch's CPU generator under `cpu`.

    If `device` is a CUDA device, the state of its generator is added under `cuda`.
    """
    state = {"cpu": torch.get_rng_state()}
    if torch.device(device).type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Tensor], device: str | torch.device) -> None:
    """Restore a state that `random_state` returned, on the same device or on another one.

    A state from the CPU holds no state for CUDA, so the generator of a CUDA device is then left as it is. A training
    that moves between CPU and CUDA therefore continues, but its results are not bit-identical.
    """
    torch.set_rng_state(state["cpu"])
    if torch.device(device).type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def all_random_states() -> list[Tensor]:
    """Return the states of torch's generators: first the CPU's, then those of all visible CUDA devices."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def set_all_random_states(states: list[Tensor]) -> None:
    """Restore the states that `all_random_states` returned."""
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])


@contextmanager
def unchanged_random_states() -> Iterator[None]:
    """Restore the states of the global generators of Python, NumPy and torch at the end of the `with` block."""
    python, numpy, torch_states = random.getstate(), np.random.get_state(), all_random_states()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        set_all_random_states(torch_states)
