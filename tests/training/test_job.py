"""How a Job takes the user's training code to another process."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hpo
from hpo.training import Job
from tests.api.user_code import Parabola
from tests.training import own_modules

SPACE = hpo.SearchSpace("s", {"x": hpo.Float(0.0, 1.0)}, hpo.Fidelity(9))

MODULE = """
class Base:
    def __init__(self, config):
        self.x = FACTOR * config["x"]
    def step(self):
        return {"val_loss": self.x}
    def state_dict(self):
        return {}
    def load_state_dict(self, state):
        pass
class Net(Base):
    def __init__(self, config):
        super().__init__(config)
FACTOR = 2
"""
LOAD = "import pickle, sys; from pathlib import Path; job = pickle.loads(Path(sys.argv[1]).read_bytes())\n"


def in_another_process(job: Job, folder: Path, script: str) -> str:
    """The output of a script, which runs in another process with the unpickled `job`."""
    (folder / "job").write_bytes(pickle.dumps(job))
    environment = {**os.environ, "PYTHONPATH": str(Path(hpo.__file__).parents[1])}
    command = [sys.executable, "-c", LOAD + script, str(folder / "job")]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def loaded_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of a file outside `sys.path`."""
    monkeypatch.delitem(sys.modules, "my_net", raising=False)
    module: ModuleType = own_modules.load(tmp_path / "elsewhere" / "my_net.py", MODULE)
    return module


@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: functools.partial(net)])
def test_code_of_a_module_that_a_worker_cannot_import_is_sent_by_value(
    wrap: Any, loaded_module: ModuleType, tmp_path: Path
) -> None:
    job = Job(SPACE, 0, Path(), wrap(loaded_module.Net))
    job.check_can_be_sent()
    assert in_another_process(job, tmp_path, "print(job.trainable({'x': 0.5}).step())") == "{'val_loss': 1.0}\n"


def test_code_of_a_module_that_a_worker_can_import_is_sent_by_name(tmp_path: Path) -> None:
    job = Job(SPACE, 0, Path(), Parabola)
    assert pickle.loads(pickle.dumps(job)).trainable is Parabola
    assert "module: tests.api.user_code" in in_another_process(
        job, tmp_path, "print('module:', job.trainable.__module__)"
    )


def test_a_trainable_that_a_worker_cannot_load_is_a_task_error_in_one_line(
    loaded_module: ModuleType, tmp_path: Path
) -> None:
    def uses_it(config: Mapping[str, Any]) -> Any:
        return loaded_module.Net(config)

    script = (
        "from hpo.training.builder import Builder\n"
        "try: Builder(job, 'cpu').build({'x': 0.5}, 0)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    told = in_another_process(Job(SPACE, 0, Path(), uses_it), tmp_path, script)
    assert told.startswith("TaskError a worker process cannot load the trainable")
    assert "No module named 'my_net'; define it in a module that the worker can import" in told
    assert len(told.splitlines()) == 1
