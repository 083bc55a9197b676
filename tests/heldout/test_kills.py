"""A test that is killed at any moment loses no look and no result."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.space import Fidelity
from tests.heldout.studies import SPACE, searched


def n_models(content: Any) -> int:
    return sum(len(each["seeds"]) for each in content["results"])


@pytest.mark.slow
def test_a_test_that_is_killed_at_any_moment_goes_on_without_a_lost_or_a_repeated_look(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", replace(SPACE, fidelity=Fidelity(2)), trials=2)
    command = [sys.executable, "-m", "tests.heldout.kill_moments", str(folder)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    whole, *kills = map(json.loads, lines)
    assert len(kills) > 10
    numbers = set()
    for each in kills:
        killed, again = each["killed"], each["again"]
        if killed is not None:
            unfinished = killed.get("unfinished_looks", [])
            assert killed["looks"] == n_models(killed) + len(unfinished)
            assert len(unfinished) <= 1
            numbers.add((killed["looks"], len(unfinished)))
        assert again == {**whole["whole"], "study": again["study"]}
    assert numbers == {(looks, unfinished) for looks in range(1, 5) for unfinished in (0, 1)}
