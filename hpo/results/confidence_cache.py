"""The confidence of a study, kept in a file of its folder: several commands ask for it, and many images take long.

The file holds the confidence and a key of all that it depends on: the trials, the prediction files, our code, and that
of an objective that is a function of the user. If any of it changes, it is computed again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import time
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from hpo import __version__
from hpo.errors import HpoError, MachineError
from hpo.record import CONFIDENCE_FILE, History, StudyFolder, write_text
from hpo.results.confidence import Confidence, confidence
from hpo.training.own_objective import objective_digest

MIN_SECONDS = 0.2
"""A confidence that took less time to compute is not kept."""
PACKAGES = ("hpo.record", "hpo.results", "hpo.space", "hpo.statistics", "hpo.training", "hpo.training.user_code")
"""The packages whose code decides what the confidence is."""
OWN_METRIC = ("trainables", "own_metric.py")
"""The package and the file that call a function of the user."""


def cached_confidence(
    study: StudyFolder, history: History, *, min_seconds: float = MIN_SECONDS
) -> tuple[Confidence | None, str]:
    """Return what `confidence` returns, from the file in the study's folder if it is still valid.

    Else it is computed, and kept if that took `min_seconds`. Nothing is kept if the folder can only be read.
    """
    path, key = study.folder / CONFIDENCE_FILE, _key(study, history)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] == key:
            return _decoded(content["confidence"])
    start = time.monotonic()
    known, reason = confidence(study, history)
    if known is not None and time.monotonic() - start >= min_seconds:
        with contextlib.suppress(MachineError):
            write_text(path, json.dumps({"key": key, "confidence": asdict(known)}))
    return known, reason


def _key(study: StudyFolder, history: History) -> str:
    """What identifies all that the confidence of a study depends on."""
    trials = [
        (number, trial.epoch, trial.loss, trial.best and trial.best.fidelity, trial.crash is not None)
        for number, trial in sorted(history.trials.items())
    ]
    predictions = sorted(_stats(study.predictions))
    content = [_code(), study.digest, _objective(study), len(history.events), trials, predictions]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _objective(study: StudyFolder) -> str | None:
    """What identifies the code of an objective that is a function of the user, as it is now. None for one of ours."""
    try:
        return objective_digest(study.space)
    except HpoError as error:  # it cannot be imported any more
        return str(error)


def _stats(folder: Path) -> Iterable[tuple[str, int, int]]:
    """The path, size and time of change of each file in a folder. Empty if there is no such folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _stats(Path(entry.path))
            else:
                found = entry.stat()
                yield os.path.relpath(entry.path, folder), found.st_size, found.st_mtime_ns


@functools.cache
def _code() -> str:
    """What identifies the code that computes the confidence: ours, and the versions of the packages that it uses."""
    found = hashlib.sha256(repr((__version__, np.__version__, scipy.__version__)).encode())
    for package in PACKAGES:
        for entry in sorted(files(package).iterdir(), key=lambda each: each.name):
            if entry.name.endswith(".py"):
                found.update(entry.read_bytes())
    package, name = OWN_METRIC
    found.update((files(package) / name).read_bytes())
    return found.hexdigest()


def _decoded(content: Mapping[str, Any]) -> tuple[Confidence, str]:
    """The confidence from plain values. Raises TypeError or KeyError if they do not fit."""
    hints = typing.get_type_hints(Confidence)
    return Confidence(**{name: _value(hints[name], value) for name, value in content.items()}), ""


def _value(kind: Any, value: Any) -> Any:
    """A plain value of JSON as the type of a field. Raises TypeError for a type that is not known here."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        (only,) = [each for each in inner if each is not types.NoneType]
        return None if value is None else _value(only, value)
    if origin is tuple:
        return tuple(_value(inner[0], each) for each in value)
    if origin is Mapping:
        return {_value(inner[0], name): _value(inner[1], each) for name, each in value.items()}
    if hasattr(kind, "_fields"):  # a NamedTuple
        return kind(*value)
    if kind in (int, float, str, bool):
        return kind(value)
    raise TypeError(f"{kind} is not kept")
