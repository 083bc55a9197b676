from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.builder import Job
from hpo.runners import fused
from hpo.runners._runner import Runner
from tests.runners.contract import RunnerContract


class TestFused(RunnerContract):
    @pytest.fixture
    def build(self) -> Callable[[Job, Path], Runner]:
        return lambda job, checkpoints: fused.build(job, checkpoints, devices="cpu", slots=2)
