"""The test result of a trial, over several seeds, and that of each of its models."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from hpo.heldout.protocols import REFIT
from hpo.record import Trial, versions
from hpo.space.objectives import METRICS
from hpo.space.values import with_tuples
from hpo.trial import Config, Rank


@dataclass(frozen=True)
class ModelResult:
    """The metrics of one trained model on validation and on held-out data."""

    trial: int
    seed: int
    validation: Mapping[str, float]
    """The metrics that the model's trainable reported, such as `val_loss` and `val_accuracy`."""
    held_out: Mapping[str, float]
    """The metrics of `evaluate`. Loss and accuracy are NaN if there was no model to test."""

    def words(self, metric: str | None = None) -> str:
        """Return the result in words, as "trial 3, seed 0: test f1 0.7012, test accuracy 0.7360".

        `metric` is the metric of the search, which comes first if the result has it. None for loss and accuracy.
        """
        names = [name for name in (metric, "accuracy") if name in self.held_out]
        values = ", ".join(f"test {spoken(name)} {self.held_out[name]:.4f}" for name in names if name)
        return f"trial {self.trial}, seed {self.seed}: {values}"


def spoken(metric: str) -> str:
    """Return the name of a metric in words: "balanced accuracy". A name that is not one of ours stays as it is."""
    return metric.replace("_", " ") if f"val_{metric}" in METRICS else metric


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
    def text(self) -> str:
        """The mean, with its standard deviation if there are several values."""
        if not self.is_finite:
            return "not finite"
        return f"{self.mean:.4f}" + (f" ± {self.std:.4f}" if self.std is not None else "")

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
    """`retrain`, `refit` or `checkpoint`."""
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
        val_loss=_of_validation(protocol, [each.get("val_loss", math.nan) for each in validation]),
        val_accuracy=_of_validation(protocol, [each.get("val_accuracy", math.nan) for each in validation]),
        test_loss=Spread.of([each.held_out["loss"] for each in results]),
        test_accuracy=Spread.of([each.held_out["accuracy"] for each in results]),
        metrics=_other_metrics(protocol, results),
    )


def _of_validation(protocol: str, values: Sequence[float]) -> Spread:
    """The spread of a validation metric. Refits repeat that of the search for each seed, so they have no deviation."""
    found = Spread.of(values)
    return found._replace(std=None) if protocol == REFIT else found


def _other_metrics(protocol: str, results: Sequence[ModelResult]) -> dict[str, Spread]:
    """The spreads of the metrics beside loss and accuracy that all models have."""
    metrics = {}
    for part, values in (("val", [each.validation for each in results]), ("test", [each.held_out for each in results])):
        for name in results[0].held_out:
            key = f"val_{name}" if part == "val" else name
            of_models = [each.get(key) for each in values]
            numbers = [float(value) for value in of_models if isinstance(value, int | float)]
            if name not in ("loss", "accuracy") and len(numbers) == len(results):
                spread = _of_validation(protocol, numbers) if part == "val" else Spread.of(numbers)
                metrics[f"{part}_{name}"] = spread
    return metrics
