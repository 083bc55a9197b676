"""LCBench's surrogate: learning curves of 7 hyperparameters of a network on 34 tabular data sets, 52 epochs each.

Pfisterer, Schneider, Moosbauer, Binder, Bischl: YAHPO Gym, AutoML 2022; Zimmer, Lindauer, Hutter: Auto-PyTorch Tabular,
TPAMI 2021. It is read from `$HPO_DATA/lcbench`: `model.onnx`, `encoding.json` and `config_space.json` of the scenario
`lcbench` of YAHPO Gym. The objective is the cross-entropy on validation data. The surrogate has no noise.

Every third of the sorted data sets is held out. They are for judging a finished backend only, never for its
development.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpo.errors import UserError
from hpo.record import data_folder
from hpo.space import Fidelity, SearchSpace
from hpo.space.domains import Domain, Float, Int
from hpo.trial import Config

INSTANCE, EPOCH = "OpenML_task_id", "epoch"
"""The names of the data set and of the epochs in config_space.json."""
INPUTS = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout")
"""The hyperparameters in the order of the network's inputs, after the epoch. The ONNX file does not name them."""
OUTPUT = 2
"""The position of `val_cross_entropy` in the network's output."""
BEST_KNOWN = Path(__file__).parent / "lcbench_best_known.json"
"""For each data set, the lowest final value found by `benchmarks/best_known.py`, and the median of random ones."""


def folder() -> Path:
    """The folder of the surrogate. It need not exist."""
    return data_folder() / "lcbench"


def instances(*, held_out: bool) -> list[str]:
    """The names of the data sets for judging, or of those for development. Raises a UserError without the files."""
    names = sorted(_content()[INSTANCE]["choices"], key=int)
    return [f"lcbench/{name}" for i, name in enumerate(names) if (i % 3 == 0) == held_out]


class LCBench:
    """The problem `lcbench/<data set>`."""

    def __init__(self, name: str, *, seed: int = 0, noise: float = 0.0) -> None:
        """Each value is multiplied by exp(noise * z), where z is a standard normal number of its own.

        It follows from the seed, the configuration and the epoch. Raises a UserError without the files.
        """
        self.name = name
        content = _content()
        self._code = json.loads((folder() / "encoding.json").read_text())[INSTANCE][name.partition("/")[2]]
        self._seed, self._noise = seed, noise
        domains = {key: _domain(content[key]) for key in INPUTS}
        self.space = SearchSpace("lcbench", domains, Fidelity(int(content[EPOCH]["upper"])))
        self._network = _network()
        self._values = lru_cache(maxsize=4096)(self._noisy_values)

    def curve(self, config: Config, epoch: int) -> Mapping[str, float]:
        """The cross-entropy on validation data after an epoch."""
        return {"val_loss": float(self._values(_point(config))[epoch - 1])}

    def final(self, config: Config) -> float:
        """The cross-entropy after the last epoch, without noise."""
        return float(self.finals([_point(config)])[0])

    def finals(self, points: ArrayLike) -> NDArray[np.float64]:
        """The cross-entropies of configurations after the last epoch, without noise. `points` has a row for each."""
        given = np.asarray(points, np.float64)
        rows = np.column_stack([np.full(len(given), self.space.fidelity.high), given])
        return self._predicted(rows)

    @property
    def best(self) -> float:
        """The lowest known final value."""
        return float(json.loads(BEST_KNOWN.read_text())[self.name]["best"])

    @property
    def median(self) -> float:
        """The median final value of random configurations."""
        return float(json.loads(BEST_KNOWN.read_text())[self.name]["median"])

    def _predicted(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        codes = np.full((len(rows), 1), self._code, np.int32)
        (out,) = self._network.run(None, {"x_cat": codes, "x_cont": rows.astype(np.float32)})
        return np.asarray(out[:, OUTPUT], np.float64)

    def _noisy_values(self, point: tuple[float, ...]) -> NDArray[np.float64]:
        """The values of all epochs."""
        epochs = np.arange(1, self.space.fidelity.high + 1)
        values = self._predicted(np.column_stack([epochs, np.tile(point, (len(epochs), 1))]))
        if not self._noise:
            return values
        digest = hashlib.sha256(repr((self._seed, point)).encode()).digest()
        rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
        return values * np.exp(self._noise * rng.standard_normal(len(epochs)))


def _point(config: Config) -> tuple[float, ...]:
    return tuple(float(config[name]) for name in INPUTS)  # type: ignore[arg-type]


def _domain(entry: Mapping[str, Any]) -> Domain:
    if entry["type"] == "uniform_int":
        return Int(int(entry["lower"]), int(entry["upper"]), log=entry["log"])
    return Float(entry["lower"], entry["upper"], log=entry["log"])


def _content() -> dict[str, Any]:
    """The hyperparameters of config_space.json by their names."""
    path = folder() / "config_space.json"
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; LCBench needs the folder `lcbench` of YAHPO Gym in $HPO_DATA")
    return {entry["name"]: entry for entry in json.loads(path.read_text())["hyperparameters"]}


@lru_cache(maxsize=1)
def _network() -> Any:
    """The surrogate, on one thread."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"LCBench needs onnxruntime: pip install 'hpo[onnx]' ({error})") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(folder() / "model.onnx"), options, providers=["CPUExecutionProvider"])
