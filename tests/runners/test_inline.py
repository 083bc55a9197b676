from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.errors import HpoError
from hpo.runners import inline
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from tests.runners.contract import CheckpointsContract
from tests.runners.driving import ToyFixtures


class TestInline(ToyFixtures, CheckpointsContract):
    @pytest.fixture
    def build(self) -> Callable[[Job, Path], Runner]:
        return lambda job, checkpoints: inline.build(job, checkpoints, devices="cpu")

    def test_it_has_one_slot(self, runner: Runner) -> None:
        assert runner.free() == 1

    def test_waiting_for_nothing_is_an_error(self, runner: Runner) -> None:
        with pytest.raises(HpoError, match="no trial is running"):
            runner.events()
