"""A search leaves the random states of the process as they were."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import hpo
from hpo.errors import TooManyCrashes
from tests.api import user_code

SPACE = {"space": {"x": {"low": 0.0, "high": 1.0}}, "fidelity": {"high": 9}}


def random_states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]


def test_a_search_leaves_the_random_states_as_they_were(tmp_path: Path) -> None:
    before = random_states()
    study = hpo.search("digits_softmax", backend="random", trials=1, epochs=2, studies=tmp_path, devices="cpu")
    study.test(quiet=True)
    assert random_states() == before


@pytest.mark.parametrize("backend", ["bohb", "asha"])
def test_own_training_code_in_the_same_process_draws_alike_in_each_search_and_leaves_the_random_states_as_they_were(
    tmp_path: Path, backend: str
) -> None:
    how: dict[str, Any] = {"backend": backend, "runner": "inline", "trials": 14, "studies": tmp_path, "devices": "cpu"}
    tables = []
    for name, seed in (("a", 1), ("b", 2)):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
        before = random_states()
        tables.append(hpo.search(SPACE, user_code.Noise, study=name, **how).table())
        assert random_states() == before
    first, second = (table.drop(columns=["seconds", "peak_host_gib"]) for table in tables)
    pd.testing.assert_frame_equal(first, second)


def test_a_search_that_ends_with_an_error_leaves_the_random_states_as_they_were(tmp_path: Path) -> None:
    before = random_states()
    with pytest.raises(TooManyCrashes):
        hpo.search(SPACE, user_code.crash_after_a_draw, runner="inline", studies=tmp_path, devices="cpu")
    assert random_states() == before
