"""A study is a folder (floor 3): its settings, its lock, its record, its checkpoints and its tables."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from hpo import spacefile
from hpo.errors import MachineError, Mistake, StudyError, nearest
from hpo.folder import command, keep_out_of_git, let_into_git, write_text
from hpo.history import History
from hpo.ledger import Ledger, create_ledger, open_ledger
from hpo.runners import _slots
from hpo.space import SearchSpace
from hpo.trial import Scalar

PACKAGES = ("hpo", "torch", "torchvision", "optuna", "ray", "hpbandster", "ConfigSpace", "numpy", "pandas")
"""The packages whose versions are kept with a study."""


@dataclass(frozen=True)
class Budget:
    """What a study may spend, over all its runs; None is no limit."""

    trials: int | None = None
    epochs: int | None = None
    """Epochs of training, over all trials."""
    seconds: float | None = None
    """Wall time of the search."""

    def __post_init__(self) -> None:
        for name in ("trials", "epochs", "seconds"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise Mistake(f"a budget of {value} {name}: at least 0 is allowed")

    def or_default(self) -> Budget:
        """This budget; 64 trials where nothing was said."""
        return self if self != Budget() else Budget(trials=64)


def data_folder(given: str | None = None) -> Path:
    """The folder of the data sets and weights: as given, else $HPO_DATA, else ~/.cache/hpo."""
    return Path(given or os.environ.get("HPO_DATA") or "~/.cache/hpo").expanduser()


@dataclass(frozen=True)
class Settings:
    """Everything that says how a study is searched; `study.yaml` holds it."""

    backend: str = "optuna"
    options: Mapping[str, Scalar] = field(default_factory=dict)
    """Options of the backend, such as `sampler: gp`."""
    seed: int = 0
    """Decides the backend's draws, and with the trial's number the seed of each trial."""
    runner: str = "processes"
    """A runner by name, or auto for the one that suits the space."""
    devices: str = "auto"
    """auto, cpu, or a list such as cuda:0,cuda:1."""
    slots: int | None = None
    """Trials at once on each device; None is what the runner holds right.

    processes: one on a GPU, one a core on the CPU. fused: 64 and 16.
    """
    storage: str | None = None
    """The URL of an Optuna storage; None is the journal in the study's folder."""
    data: str | None = None
    """The folder of the data sets; None is $HPO_DATA, else ~/.cache/hpo."""

    def identity(self, space: SearchSpace) -> dict[str, Any]:
        """What may not change while a study lives."""
        return {
            "space": space.digest(),
            "backend": self.backend,
            "options": dict(self.options),
            "seed": self.seed,
        }


class Study:
    """One study folder; `reopen` finds one that exists, `lock` keeps other processes out of it."""

    def __init__(
        self,
        folder: Path,
        space: SearchSpace,
        settings: Settings,
        budget: Budget,
        made: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.space = space
        self.settings = settings
        self.budget = budget
        self.made = _made(settings) if made is None else made
        """When, where and with which versions the study was begun."""

    @property
    def name(self) -> str:
        """The name of the study and of its folder."""
        return self.folder.name

    @property
    def checkpoints(self) -> Path:
        """Where the runner keeps the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def data(self) -> Path:
        """The folder of the data sets."""
        return data_folder(self.settings.data)

    @classmethod
    def reopen(cls, folder: Path) -> Study:
        """Read `study.yaml` of a study that exists; the plug-ins that it names need not be installed here."""
        path = folder / "study.yaml"
        if not path.exists():
            siblings = [p.parent.name for p in folder.parent.glob("*/study.yaml")] if folder.parent.is_dir() else []
            raise StudyError(f"no study {folder.name!r} in {folder.parent}{nearest(folder.name, siblings)}")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            settings = Settings(**content["settings"])
            budget = Budget(**content["budget"])
            space = spacefile.parse(content["space"], source=str(path), installed=False)
            made = dict(content["made"])
        except (OSError, UnicodeDecodeError) as error:
            raise MachineError(f"{path}: cannot be read: {error}") from None
        except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None
        return cls(folder, space, settings, budget, made)

    def save(self) -> None:
        """Write `study.yaml`: the resolved space, the settings, and where and when it was made."""
        content = {
            "study": self.name,
            "space": self.space.to_dict(),
            "digest": self.space.digest(),
            "settings": {**asdict(self.settings), "options": dict(self.settings.options)},
            "budget": asdict(self.budget),
            "made": dict(self.made),
        }
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_text(self.folder / "study.yaml", text)

    def begin(self) -> Ledger:
        """Begin the record, and write `study.yaml`; what an earlier study left in the folder is swept away."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        ledger = create_ledger(self._where, self.name, self.space, self.settings.identity(self.space))
        keep_out_of_git(self.folder)
        self.save()
        return ledger

    def discard_unless_reported(self) -> None:
        """Sweep the study away where nothing was trained yet; one in a storage stays, to be resumed."""
        if self.settings.storage is None and self.history()[0].n_epochs == 0:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
            let_into_git(self.folder)
            for name in ("study.yaml", "ledger.log", "trials.csv", "best.csv"):
                (self.folder / name).unlink(missing_ok=True)

    def ledger(self, *, write: bool) -> Ledger:
        """Open the record; refuse one that was begun with another space, backend or seed."""
        if write:
            keep_out_of_git(self.folder)
        identity = self.settings.identity(self.space)
        ledger = open_ledger(self._where, self.name, self.space, write=write)
        changed = [key for key, value in identity.items() if ledger.origin.get(key) != value]
        if changed:
            ledger.close()
            raise StudyError(
                f"study {self.name!r}: its {', '.join(changed)} changed since it was begun; "
                "give the changed one a name of its own with --study"
            )
        return ledger

    def history(self) -> tuple[History, str | None]:
        """What is on record now, and why the study ended; None while it is searched or can be resumed."""
        ledger = self.ledger(write=False)
        try:
            return ledger.history, ledger.finished
        finally:
            ledger.close()

    @property
    def _where(self) -> Path | str:
        return self.settings.storage or self.folder / "ledger.log"


def changed(folder: Path, space: SearchSpace, settings: Settings) -> list[str] | None:
    """What the study in a folder was begun with that is now another; None where there is no study."""
    if not (folder / "study.yaml").exists():
        return None
    old = Study.reopen(folder)
    before, after = old.settings.identity(old.space), settings.identity(space)
    return [key for key in after if before[key] != after[key]]


def check_absent(folder: Path, space: SearchSpace, settings: Settings) -> None:
    """Raise a StudyError if a study has this folder already, saying whether it is the same search."""
    differing = changed(folder, space, settings)
    if differing is None:
        return
    name = folder.name
    if differing:
        raise StudyError(
            f"study {name!r} exists in {folder.parent}, with another {', '.join(differing)}: "
            "choose another name with --study"
        )
    raise StudyError(
        f"study {name!r} exists in {folder.parent}: `{command('resume', folder)}` goes on with it, "
        "--study NAME begins another"
    )


def _made(settings: Settings) -> dict[str, Any]:
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    made: dict[str, Any] = {"at": datetime.now(tz=UTC).isoformat(timespec="seconds"), "commit": _commit()}
    made |= {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    slots = [slot.name for slot in _slots.plan(settings.devices, settings.slots)]
    made |= {"cores": _slots.n_cores(), "slots": slots, "versions": versions}
    return made


def _commit() -> str | None:
    """The commit of the git checkout that the command was typed in."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
