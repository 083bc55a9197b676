"""The record of tests: `test.json`, with the result of each tested trial and the count of looks at held-out data."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from hpo.errors import StudyError
from hpo.record import TEST_FILE, StudyFolder, Trial, write_text
from hpo.trial import Config


class Spread(NamedTuple):
    """One number over several seeds."""

    mean: float
    """NaN where one of the values is not finite."""
    std: float | None
    """The sample standard deviation; None for one value, or where one of them is not finite."""
    values: Sequence[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of these values."""
        finite = all(math.isfinite(value) for value in values)
        mean = statistics.fmean(values) if finite else math.nan
        return cls(mean, statistics.stdev(values) if finite and len(values) > 1 else None, values)

    @property
    def is_finite(self) -> bool:
        """Whether all values are finite."""
        return math.isfinite(self.mean)

    def to_json(self) -> dict[str, Any]:
        """As it stands in `test.json`: JSON has no NaN, so None stands for it."""
        values = [value if math.isfinite(value) else None for value in self.values]
        return {"mean": self.mean if self.is_finite else None, "std": self.std, "values": values}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Spread:
        """The spread in a part of `test.json`."""
        mean = math.nan if content["mean"] is None else content["mean"]
        return cls(mean, content["std"], [math.nan if value is None else value for value in content["values"]])


@dataclass(frozen=True)
class TrialEvaluation:
    """One tested trial: its accuracy and loss on validation and on held-out data, over its seeds."""

    trial: int
    config: Config
    protocol: str
    """retrain or checkpoint."""
    stopping_epoch: int
    """The epochs that it was trained for."""
    searched_loss: float
    """The lowest objective in the search."""
    seeds: Sequence[int]
    val_loss: Spread
    val_accuracy: Spread
    test_loss: Spread
    test_accuracy: Spread

    def to_json(self) -> dict[str, Any]:
        """As it stands in `test.json`."""
        spreads = {name: getattr(self, name).to_json() for name in SPREADS}
        return {**asdict(self), "config": dict(self.config), "seeds": list(self.seeds), **spreads}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrialEvaluation:
        """The tested trial in a part of `test.json`; a KeyError or TypeError where it is damaged."""
        named: dict[str, Any] = {name: content[name] for name in cls.__dataclass_fields__ if name not in SPREADS}
        return cls(**named | {name: Spread.from_json(content[name]) for name in SPREADS})


SPREADS = ("val_loss", "val_accuracy", "test_loss", "test_accuracy")


class Evaluations:
    """What `test.json` says of a study so far."""

    def __init__(self, study: StudyFolder, n_looks: int = 0, trials: Sequence[TrialEvaluation] = ()) -> None:
        self._study = study
        self.n_looks = n_looks
        """How often held-out data was looked at."""
        self.trials = list(trials)
        """The tested trials, in the order in which they were tested."""

    @classmethod
    def read(cls, study: StudyFolder) -> Evaluations:
        """The content of `test.json`, empty where there is none; a StudyError where it is damaged."""
        path = study.folder / TEST_FILE
        if not path.exists():
            return cls(study)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content["looks"], int) or not isinstance(content["results"], list):
                raise TypeError("looks or results")
            return cls(study, content["looks"], [TrialEvaluation.from_json(each) for each in content["results"]])
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None

    def count_look(self) -> None:
        """Count a look at held-out data, on disk, before it is taken."""
        self.n_looks += 1
        self.write()

    def replace(self, tested: TrialEvaluation) -> None:
        """Put the result of a trial in place of its earlier one."""
        self.trials = [*(old for old in self.trials if old.trial != tested.trial), tested]

    def to_json(self) -> dict[str, Any]:
        """The content of `test.json`."""
        return {"study": self._study.name, "looks": self.n_looks, "results": [each.to_json() for each in self.trials]}

    def write(self) -> None:
        """Write `test.json`."""
        write_text(self._study.folder / TEST_FILE, json.dumps(self.to_json(), indent=2) + "\n")

    def finite(self) -> list[TrialEvaluation]:
        """The tested trials with a finite test accuracy, the lowest loss of the search first.

        A StudyError says what to type where nothing was tested, or that no accuracy is finite.
        """
        name = self._study.name
        if not self.trials:
            raise StudyError(f"nothing of study {name!r} was tested: run `hpo test {name} --top N` first")
        found = [each for each in self.trials if each.test_accuracy.is_finite]
        if not found:
            raise StudyError(f"no tested trial of study {name!r} has a finite test accuracy: there is nothing to draw")
        return sorted(found, key=lambda each: (each.searched_loss, each.trial))


def evaluated(trial: Trial, protocol: str, stopping_epoch: int, results: Sequence[Evaluation]) -> TrialEvaluation:
    """The result of one trial, from the evaluations of its models."""
    results = sorted(results, key=lambda each: each.seed)
    validation = [each.validation for each in results]
    return TrialEvaluation(
        trial=trial.number,
        config=dict(trial.config),
        protocol=protocol,
        stopping_epoch=stopping_epoch,
        searched_loss=trial.loss,
        seeds=[each.seed for each in results],
        val_loss=Spread.of([each.get("val_loss", math.nan) for each in validation]),
        val_accuracy=Spread.of([each.get("val_accuracy", math.nan) for each in validation]),
        test_loss=Spread.of([each.held_out["loss"] for each in results]),
        test_accuracy=Spread.of([each.held_out["accuracy"] for each in results]),
    )


@dataclass(frozen=True)
class Evaluation:
    """One trained model, on validation and on held-out data."""

    trial: int
    seed: int
    validation: Mapping[str, float]
    held_out: Mapping[str, float]
    """`loss` and `accuracy`; NaN where there was no model to test."""
