"""A regime for tests of the search: a learning curve that costs nothing, and every way to go wrong.

It is named in a space as `tests.toy`, as a user's own regime would be. Each epoch that is really trained
is appended to the file named by $HPO_TOY_LOG, so a test can tell training from reporting.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from hpo.space import Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical, Domain, Float


class Curve:
    """Falls with the epochs towards a floor that depends on `x`.

    `fault` says what goes wrong at epoch 2, or, if it ends in `_at_once`, at the first.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.epoch = 0
        self.seed = random.random()

    def step(self) -> Mapping[str, float]:
        self.epoch += 1
        self._log()
        fault = str(self.config.get("fault", "none"))
        if fault.endswith("_at_once"):
            fault = fault.removesuffix("_at_once")
        elif self.epoch != 2:
            fault = "none"
        if fault == "raise":
            raise ValueError("the toy was told to raise")
        if fault == "end_of_file":
            raise EOFError("images.pkl is cut short")
        if fault == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "die_once" and not os.path.exists(os.environ["HPO_TOY_LOG"] + ".died"):
            open(os.environ["HPO_TOY_LOG"] + ".died", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(self.config.get("sleep", 0)))
        loss = (float(self.config["x"]) - 0.3) ** 2 + 1 / self.epoch + 0.01 * self._noise()
        loss = {"nan": math.nan, "inf": math.inf, "rise": loss + self.epoch}.get(fault, loss)
        return {"val_loss": loss, "val_accuracy": 1 / (1 + loss), "train_loss": loss / 2, "train_accuracy": 0.5}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.seed = state["seed"]

    def evaluate(self, part: object) -> Mapping[str, float]:
        return {"loss": 1 / self.epoch, "accuracy": 1 - 1 / (1 + self.epoch)}

    def _noise(self) -> float:
        return random.Random(f"{self.seed} {self.epoch}").random()

    def _log(self) -> None:
        log = os.environ.get("HPO_TOY_LOG")
        if log:
            with open(log, "a") as file:
                file.write(f"{self.config['x']!r} {self.epoch}\n")


class WaitsForFile(Curve):
    """Its epochs do not end before the file $HPO_TOY_LOG.go exists."""

    def step(self) -> Mapping[str, float]:
        metrics = super().step()
        while not os.path.exists(os.environ["HPO_TOY_LOG"] + ".go"):
            time.sleep(0.02)
        return metrics


class Unexaminable:
    """A trainable with the three methods that a search needs, and no `evaluate`."""

    def __init__(self, config: Mapping[str, Any], model: object, data: object, device: str) -> None:
        self.curve = Curve({"x": 0.5})

    def step(self) -> Mapping[str, float]:
        return self.curve.step()

    def state_dict(self) -> dict[str, Any]:
        return self.curve.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.curve.load_state_dict(state)


class Unreadable(Unexaminable):
    """A trainable whose state holds an object that `weights_only` does not read."""

    def state_dict(self) -> dict[str, Any]:
        return {"curve": self.curve}


def build(config: Mapping[str, Any], model: object, data: object, device: str) -> Curve:
    return Curve(config)


def space(*, high: int = 9, **fixed: Any) -> SearchSpace:
    """A small space over the toy, with a choice and a condition in it."""
    domains: dict[str, Domain] = {
        "kind": Categorical(("a", "b")),
        "x": Float(0.0, 1.0),
        "y": Float(1e-3, 1.0, log=True, when={"kind": ("a",)}),
    }
    return SearchSpace("toy", domains, Fidelity(high), Task(regime="tests.toy"), fixed)


class WithChildren(Curve):
    """Reads data in two processes, as a DataLoader with `num_workers=2` does, and starts a program.

    The numbers of this process, of the reading processes and of the program are written to $HPO_TOY_LOG.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.readers = multiprocessing.Pool(2)
        self.program = subprocess.Popen(["sleep", "1000"])

    def step(self) -> Mapping[str, float]:
        readers = self.readers.map(_process_number, range(8), chunksize=1)
        with open(os.environ["HPO_TOY_LOG"], "a") as file:
            file.write("".join(f"{number}\n" for number in (os.getpid(), self.program.pid, *readers)))
        self.epoch += 1
        time.sleep(float(self.config.get("sleep", 0)))
        return {"val_loss": 1 / self.epoch}


def _process_number(_: int) -> int:
    return os.getpid()
