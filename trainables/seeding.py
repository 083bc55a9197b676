"""Random generators of Python, NumPy and torch: seed them, and save and restore their states."""

from __future__ import annotations

import random

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


class RandomStates:
    """The states of the global generators of Python, NumPy and torch (the CPU's, and those of all CUDA devices).

    They are saved when the object is created.
    """

    def __init__(self) -> None:
        self._python, self._numpy, self._torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def restore(self) -> None:
        """Put the states back."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
