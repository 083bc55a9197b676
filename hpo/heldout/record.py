"""The content of `test.json`: the result of each tested trial, and the number of looks at held-out data."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from hpo.errors import StudyError
from hpo.record import TEST_FILE, StudyFolder, Trial, versions, write_text
from hpo.space.values import with_tuples
from hpo.trial import Config, Rank


class Spread(NamedTuple):
    """The mean and standard deviation of a metric over several seeds."""

    mean: float
    """NaN if a value is not finite."""
    std: float | None
    """The sample standard deviation. None if there is only one value, or if a value is not finite."""
    values: Sequence[float]
    """The value of each seed."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Compute the mean and standard deviation of `values`."""
        finite = all(math.isfinite(value) for value in values)
        mean = statistics.fmean(values) if finite else math.nan
        return cls(mean, statistics.stdev(values) if finite and len(values) > 1 else None, values)

    @property
    def is_finite(self) -> bool:
        """Whether all values are finite."""
        return math.isfinite(self.mean)

    def to_json(self) -> dict[str, Any]:
        """Return the spread as it stands in `test.json`. Values that are not finite become None: JSON has no NaN."""
        values = [value if math.isfinite(value) else None for value in self.values]
        return {"mean": self.mean if self.is_finite else None, "std": self.std, "values": values}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Spread:
        """Read a spread from its part of `test.json`."""
        mean = math.nan if content["mean"] is None else content["mean"]
        return cls(mean, content["std"], [math.nan if value is None else value for value in content["values"]])


@dataclass(frozen=True)
class TrialResult:
    """The test result of one trial: its loss and accuracy on validation and held-out data, over several seeds."""

    trial: int
    config: Config
    protocol: str
    """`retrain` or `checkpoint`."""
    stopping_epoch: int
    """The number of epochs that the tested models were trained for."""
    searched_loss: float
    """The lowest objective of the trial in the search."""
    searched_val_loss: float | None
    """The validation loss of that epoch. None if it was not finite, or if an older version wrote the file."""
    seeds: Sequence[int]
    versions: Mapping[str, str]
    """The versions of the packages that trained and tested the models. Empty if an older version wrote the file."""
    val_loss: Spread
    val_accuracy: Spread
    test_loss: Spread
    test_accuracy: Spread
    left_out: Mapping[str, int] = field(default_factory=dict)
    """The number of files that were left out of each part, because they had changed since the study was begun."""
    metrics: Mapping[str, Spread] = field(default_factory=dict)
    """The other metrics, such as `val_f1` and `test_f1`. Empty if an older version wrote the file."""

    @property
    def rank(self) -> Rank:
        """The rank of the trial in the search."""
        return self.searched_loss, math.inf if self.searched_val_loss is None else self.searched_val_loss

    def models(self) -> list[ModelResult]:
        """Return the result of each model, one for each seed."""
        spreads = {**{name: getattr(self, name) for name in SPREADS}, **self.metrics}
        return [
            ModelResult(
                self.trial,
                seed,
                {name: spread.values[i] for name, spread in spreads.items() if name.startswith("val_")},
                {
                    name.removeprefix("test_"): spread.values[i]
                    for name, spread in spreads.items()
                    if name.startswith("test_")
                },
            )
            for i, seed in enumerate(self.seeds)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the result as it stands in `test.json`."""
        spreads = {name: getattr(self, name).to_json() for name in SPREADS}
        spreads |= {name: spread.to_json() for name, spread in self.metrics.items()}
        content = {
            **asdict(replace(self, metrics={})),
            "config": dict(self.config),
            "seeds": list(self.seeds),
            **spreads,
        }
        content["left_out"] = dict(self.left_out)
        return {name: value for name, value in content.items() if value or name not in ("left_out", "metrics")}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrialResult:
        """Read a result from its part of `test.json`. Raises KeyError or TypeError if the content is damaged."""
        metrics = {
            name: Spread.from_json(value)
            for name, value in content.items()
            if name.startswith(("val_", "test_")) and name not in SPREADS
        }
        content = {"searched_val_loss": None, "versions": {}, "left_out": {}, **content, "metrics": metrics}
        others: dict[str, Any] = {name: content[name] for name in cls.__dataclass_fields__ if name not in SPREADS}
        others["config"] = {name: with_tuples(value) for name, value in others["config"].items()}
        return cls(**others | {name: Spread.from_json(content[name]) for name in SPREADS})


SPREADS = ("val_loss", "val_accuracy", "test_loss", "test_accuracy")
"""The fields of a TrialResult that are a Spread."""


TRAINED_ON = "trained_on_held_out"
"""The key of `test.json` that lists the trials that were also trained on the held-out part."""


class TestRecord:
    """All tests of a study so far: the content of its `test.json`."""

    def __init__(
        self,
        study: StudyFolder,
        n_looks: int = 0,
        trials: Sequence[TrialResult] = (),
        trained_on_held_out: Sequence[int] = (),
    ) -> None:
        self.study = study
        """The tested study."""
        self.n_looks = n_looks
        """The number of looks at held-out data."""
        self.trials = list(trials)
        """The tested trials, in the order in which they were tested."""
        self.trained_on_held_out = list(trained_on_held_out)
        """The trials that were also trained on the held-out part, by `hpo model --train-on all`."""
        self.kept: list[ModelResult] = []
        """The results of earlier tests that the latest test did not repeat."""

    @classmethod
    def read(cls, study: StudyFolder) -> TestRecord:
        """Read `test.json`. If there is no such file, the result is empty. Raises StudyError if it is damaged."""
        path = study.folder / TEST_FILE
        if not path.exists():
            return cls(study)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content["looks"], int) or not isinstance(content["results"], list):
                raise TypeError("looks or results")
            results = [TrialResult.from_json(each) for each in content["results"]]
            return cls(study, content["looks"], results, [int(each) for each in content.get(TRAINED_ON, [])])
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None

    def count_look(self) -> None:
        """Count a look at held-out data, and write the count to disk. Call this before the look."""
        self.n_looks += 1
        self.write()

    def note_training(self, trial: int) -> None:
        """Note that a trial is also trained on the held-out part, and write that to disk. Call this before."""
        self.trained_on_held_out = sorted({*self.trained_on_held_out, trial})
        self.write()

    def keep(self, trials: Sequence[Trial], protocol: str) -> None:
        """Fill `kept` with the results of `trials` that a test by this protocol need not repeat.

        These have the same protocol, configuration and stopping epoch, and were trained and tested on all files by the
        packages that are installed now. So they can be combined with results for other seeds.
        """
        self.kept = []
        for trial in trials:
            assert trial.best is not None, "only trials with a finite loss are tested"
            now = (trial.number, protocol, dict(trial.config), trial.best.fidelity, versions())
            for tested in self.trials:
                of_test = (tested.trial, tested.protocol, tested.config, tested.stopping_epoch, tested.versions)
                if of_test == now and not tested.left_out:
                    self.kept += tested.models()

    def replace(self, tested: TrialResult) -> None:
        """Add the result of a trial, and remove the earlier result of the same trial. It is not written to disk."""
        self.trials = [*(old for old in self.trials if old.trial != tested.trial), tested]

    def to_json(self) -> dict[str, Any]:
        """Return the content of `test.json`."""
        trained_on = {TRAINED_ON: self.trained_on_held_out} if self.trained_on_held_out else {}
        results = [each.to_json() for each in self.trials]
        return {"study": self.study.name, "looks": self.n_looks, **trained_on, "results": results}

    def write(self) -> None:
        """Write `test.json` into the study's folder."""
        write_text(self.study.folder / TEST_FILE, json.dumps(self.to_json(), indent=2) + "\n")

    def ranked(self) -> list[TrialResult]:
        """Return the tested trials in the order in which the search ranks them."""
        return sorted(self.trials, key=lambda each: (each.rank, each.trial))

    def finite(self) -> list[TrialResult]:
        """Return the tested trials with a finite test accuracy, in the order in which the search ranks them.

        Raises StudyError if nothing was tested (the message says what to type), or if no accuracy is finite.
        """
        name = self.study.name
        if not self.trials:
            raise StudyError(f"nothing of study {name!r} was tested: run `hpo test {name} --top N` first")
        finite = [each for each in self.ranked() if each.test_accuracy.is_finite]
        if not finite:
            raise StudyError(f"no tested trial of study {name!r} has a finite test accuracy: there is nothing to draw")
        return finite


def combine(trial: Trial, protocol: str, stopping_epoch: int, results: Sequence[ModelResult]) -> TrialResult:
    """Combine the evaluations of a trial's models, one for each seed, into its test result."""
    results = sorted(results, key=lambda each: each.seed)
    validation = [each.validation for each in results]
    return TrialResult(
        trial=trial.number,
        config=dict(trial.config),
        protocol=protocol,
        stopping_epoch=stopping_epoch,
        searched_loss=trial.loss,
        searched_val_loss=trial.rank[1] if math.isfinite(trial.rank[1]) else None,
        seeds=[each.seed for each in results],
        versions=versions(),
        val_loss=Spread.of([each.get("val_loss", math.nan) for each in validation]),
        val_accuracy=Spread.of([each.get("val_accuracy", math.nan) for each in validation]),
        test_loss=Spread.of([each.held_out["loss"] for each in results]),
        test_accuracy=Spread.of([each.held_out["accuracy"] for each in results]),
        metrics=_other_metrics(results),
    )


def _other_metrics(results: Sequence[ModelResult]) -> dict[str, Spread]:
    """The spreads of the metrics beside loss and accuracy that all models have."""
    metrics = {}
    for part, values in (("val", [each.validation for each in results]), ("test", [each.held_out for each in results])):
        for name in results[0].held_out:
            key = f"val_{name}" if part == "val" else name
            of_models = [each.get(key) for each in values]
            numbers = [float(value) for value in of_models if isinstance(value, int | float)]
            if name not in ("loss", "accuracy") and len(numbers) == len(results):
                metrics[f"{part}_{name}"] = Spread.of(numbers)
    return metrics


@dataclass(frozen=True)
class ModelResult:
    """The metrics of one trained model on validation and on held-out data."""

    trial: int
    seed: int
    validation: Mapping[str, float]
    """The metrics that the model's trainable reported, such as `val_loss` and `val_accuracy`."""
    held_out: Mapping[str, float]
    """The metrics of `evaluate`. Loss and accuracy are NaN if there was no model to test."""
