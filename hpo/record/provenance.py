"""The origin of a study, which `study.yaml` records: the time, the git commit, the machine and the package versions."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hpo.devices import n_cores, plan_slots
from hpo.record.settings import Settings
from hpo.trial import Value

ALWAYS_RECORDED = ("hpo", "torch", "torchvision", "optuna", "ray", "hpbandster", "ConfigSpace", "numpy", "pandas")
PACKAGES = (*ALWAYS_RECORDED, "timm", "peft", "scipy", "scikit-learn")
"""The packages whose versions are recorded. Earlier versions of hpo recorded only `ALWAYS_RECORDED`."""
TRAINING_VERSION = 2
"""The version of what hyperparameters mean for a regime. It is recorded, so that a study goes on as it was begun.

1, or none: the schedule cosine and the warm-up change the learning rate once an epoch. 2: they change it each step.
"""


def describe(settings: Settings) -> dict[str, Any]:
    """Describe this moment and this machine. `study.yaml` holds it as `made`."""
    made: dict[str, Any] = {"at": datetime.now(tz=UTC).isoformat(timespec="seconds"), "commit": _commit()}
    made |= {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    planned = [] if settings.curves else plan_slots(settings.devices, settings.given_slots, settings.devices_per_trial)
    slots = [slot.name for slot in planned]
    made |= {"cores": n_cores(), "slots": slots, "versions": versions()}
    return {**made, "training": TRAINING_VERSION}


def regime_defaults(made: Mapping[str, Any]) -> dict[str, Value]:
    """The hyperparameters with which a regime trains as it did when a study was begun. `made` is that of `describe`."""
    return {} if made.get("training", 1) >= 2 else {"schedule_interval": "epoch"}


def versions() -> dict[str, str]:
    """The versions of the installed packages among PACKAGES."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = _version(package)
    return found


def changed_versions(recorded: Mapping[str, str]) -> dict[str, str]:
    """Return what changed since `versions` returned `recorded`: "2.12.1, now 2.13.0" by the name of the package.

    A package that an earlier version of hpo did not record counts as unchanged.
    """
    now = versions()
    known = {name: version for name, version in now.items() if name in recorded or name in ALWAYS_RECORDED}
    names = [name for name in PACKAGES if recorded.get(name) != known.get(name)]
    return {name: f"{recorded.get(name, 'missing')}, now {known.get(name, 'missing')}" for name in names}


@cache
def _version(package: str) -> str:
    return version(package)


def _commit() -> str | None:
    """The git commit of the working directory. None if it is not in a git repository."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
