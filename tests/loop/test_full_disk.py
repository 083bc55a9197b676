from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.loop import Session, resume
from hpo.record import State
from tests import toy
from tests.loop.searching import check_sound, history

pytestmark = pytest.mark.slow


class Large(toy.Curve):
    """Its checkpoint has about `n_bytes` bytes from the second epoch on."""

    def state_dict(self) -> dict[str, Any]:
        n_bytes = self.config["n_bytes"] if self.epoch > 1 else 1
        return {**super().state_dict(), "parts": [torch.zeros(n_bytes // 4, dtype=torch.uint8) for _ in range(4)]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({key: value for key, value in state.items() if key != "parts"})


SCRIPT = """
import resource, sys; from pathlib import Path
from hpo.errors import MachineError; from hpo.loop import Session, begin; from hpo.record import Budget, Settings
from tests import toy; from tests.loop.test_full_disk import Large
folder, runner, n_bytes, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    begin(folder, toy.space(high=3, n_bytes=n_bytes), Settings('random', runner=runner, devices='cpu', slots=1),
          Budget(trials=2), session=Session(Large))
except MachineError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("runner", "n_bytes", "limit"),
    [("inline", 4_000_000, 1_000_000), ("inline", 400_000, 399_000), ("processes", 4_000_000, 3_999_000)],
)
def test_a_checkpoint_that_cannot_be_written_ends_the_search_and_no_trial(
    tmp_path: Path, runner: str, n_bytes: int, limit: int
) -> None:
    """The limit of a file's size gives the same errors as a full disk."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "s"), runner, str(n_bytes), str(limit)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "0.pt: the checkpoint cannot be written or read: [Errno 27] File too large" in answer.stdout
    assert history(tmp_path / "s").trials[0].state is State.RUNNING
    resume(tmp_path / "s", session=Session(Large))
    seen = history(tmp_path / "s")
    check_sound(seen)
    assert [trial.state for trial in seen.trials.values()] == [State.COMPLETE, State.COMPLETE]
