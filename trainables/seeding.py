"""Random states: set all of them from one seed; take and restore those of torch."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators (CPU and every CUDA device); `seed` is at least 0."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # Not torch.manual_seed: for each kind of accelerator that is absent it formats a stack trace.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def random_state(device: str | torch.device) -> dict[str, Tensor]:
    """The state of torch's generator on the CPU, under `cpu`, and on a CUDA `device`, under `cuda`."""
    state = {"cpu": torch.get_rng_state()}
    if torch.device(device).type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Tensor], device: str | torch.device) -> None:
    """Restore a `random_state` on a device, which may be another than the one it was taken on.

    A training that moves between CPU and CUDA goes on, but not bit for bit: what the state does not
    hold for the device stays as it is.
    """
    torch.set_rng_state(state["cpu"])
    if torch.device(device).type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def all_random_states() -> list[Tensor]:
    """The states of torch's generators: that of the CPU, then those of all CUDA devices that are in use."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def set_all_random_states(states: list[Tensor]) -> None:
    """Restore `all_random_states`."""
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])
