"""Conversion of events to user attributes of Optuna trials and back, and of domains to Optuna distributions.

JSON has no NaN and inf, so they are stored as text.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.record.history import Decisions, Event, Retry
from hpo.space.domains import Categorical, Domain, Int
from hpo.space.values import list_as_text, with_tuples
from hpo.trial import PEAKS, Config, Crash, Decision, Report, Scalar, Suggestion

_OPTIONAL = ("micro_batches", *PEAKS)
"""The fields of a Report that may be None. Earlier versions did not record them."""


def from_suggestion(suggestion: Suggestion) -> dict[str, Any]:
    """The attribute of a suggestion.

    It includes the configuration, because the parameters of an Optuna trial do not distinguish choices such as 1 and
    true.
    """
    content = {"until": suggestion.until, "bracket": suggestion.bracket, "notes": dict(suggestion.notes)}
    return {**content, "config": dict(suggestion.config)}


def from_report(report: Report) -> dict[str, Any]:
    """The attribute of a report. Its trial and its epoch are not included."""
    return {
        "loss": _to_json(report.loss),
        "metrics": {key: _to_json(value) for key, value in report.metrics.items()},
        "seconds": round(report.seconds, 6),
        "last": report.last,
        "device": report.device,
        **{name: value for name in _OPTIONAL if (value := getattr(report, name)) is not None},
    }


def stopping_epoch_attributes(best: Report) -> dict[str, float | str]:
    """The attributes that show the stopping epoch of a finished trial in the dashboard. They are no events.

    These are its number and its validation metrics, under the names of the columns of a table: `val_f1`.
    """
    metrics = {name: _to_json(value) for name, value in best.metrics.items() if name.startswith("val_")}
    return {"stopping_epoch": best.fidelity, **metrics}


def to_event(trial: int, key: str, value: Any) -> Event | None:
    """The event that an attribute of a trial contains. None if the attribute is not an event."""
    kind, _, fidelity = key.partition(":")
    if not isinstance(value, dict) or "n" not in value:
        return None
    if kind == "suggestion":
        config = {sys.intern(name): with_tuples(each) for name, each in value["config"].items()}
        return Suggestion(trial, config, value["until"], value["bracket"], value["notes"])
    if kind == "report":
        metrics = {sys.intern(name): float(metric) for name, metric in value["metrics"].items()}
        loss, seconds, last, device = (value[name] for name in ("loss", "seconds", "last", "device"))
        optional = {name: value.get(name) for name in _OPTIONAL}
        return Report(trial, int(fidelity), float(loss), metrics, seconds, last, device, **optional)
    if kind == "settled":
        decisions = {int(number): Decision(fate) for number, fate in value["decisions"].items()}
        return Decisions(trial, int(fidelity), decisions)
    return Crash(trial, value["kind"], value["error"])


def study_events(attributes: Mapping[str, Any]) -> list[tuple[int, float, Event]]:
    """The events that the attributes of a study contain, each with its number and its time in seconds."""
    values = (value for key, value in attributes.items() if key.startswith("retry:"))
    return [(value["n"], value["at"], Retry(tuple(value["trials"]))) for value in values]


def fidelity(event: Report | Crash) -> int:
    """The epoch of a report, 0 for a crash."""
    return event.fidelity if isinstance(event, Report) else 0


def distribution(domain: Domain) -> BaseDistribution:
    """The Optuna distribution of a domain."""
    if isinstance(domain, Categorical):
        return CategoricalDistribution([list_as_text(choice) for choice in domain.choices])
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step or 1)
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def parameters(config: Config) -> dict[str, Scalar]:
    """The parameters of an Optuna trial with this configuration. Lists are text, because Optuna has no lists."""
    return {name: list_as_text(value) for name, value in config.items()}


def _to_json(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
