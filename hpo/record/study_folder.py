"""StudyFolder: one study on disk, with its settings, its record, its checkpoints and its tables."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from hpo import spacefile
from hpo.errors import MachineError, StudyError, UserError
from hpo.record import provenance
from hpo.record.earlier import read_earlier, write_earlier
from hpo.record.files import (
    CHECKPOINTS,
    DATA_FILE,
    EARLIER_FILE,
    LEDGER_FILE,
    PREDICTIONS,
    STUDY_FILE,
    keep_out_of_git,
    no_study_error,
    read_compressed,
    write_compressed,
    write_text,
)
from hpo.record.history import History
from hpo.record.identity import differing, free_name, identity, other_code
from hpo.record.ledger import Ledger
from hpo.record.opening import create_ledger, open_ledger
from hpo.record.settings import Budget, Settings, data_folder
from hpo.space import SearchSpace
from hpo.trial import Config, EarlierStudy


class StudyFolder:
    """The folder of one study. `reopen` opens one that exists.

    The caller must hold the lock (`hpo.record.lock`) while it writes.
    """

    def __init__(
        self,
        folder: Path,
        space: SearchSpace,
        settings: Settings,
        budget: Budget,
        *,
        trainable_digest: str | None = None,
        objective_digest: str | None = None,
        made: Mapping[str, Any] | None = None,
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        """`trainable_digest` identifies the user's training code; None if the study trains a regime.

        `objective_digest` identifies the user's function that is the objective; None if the objective is none.

        `made` says when, where and with which package versions the study was begun. If None, it is found out now.
        """
        self.folder = folder.absolute()  # training code may change the working directory
        self.recorded_name = folder.name
        """The name that the study was begun with, which is its name in a storage. The folder may be renamed later."""
        self.space = space
        self.settings = settings
        self.budget = budget
        self.trainable_digest = trainable_digest
        self.objective_digest = objective_digest
        self.made = provenance.describe(settings) if made is None else made
        """When, where and with which package versions the study was begun. See `hpo.record.provenance`."""
        self.left_out = dict(left_out or {})
        """The number of files that the last search left out of each part, because they had changed."""

    @property
    def name(self) -> str:
        """The name of the study, which is that of its folder."""
        return self.folder.name

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints of the search."""
        return self.folder / CHECKPOINTS

    @property
    def predictions(self) -> Path:
        """The folder of the validation predictions of the trials."""
        return self.folder / PREDICTIONS

    @property
    def data(self) -> Path:
        """The folder of the data sets."""
        return data_folder(self.settings.data)

    @property
    def regime_defaults(self) -> Config:
        """The hyperparameters that a regime reads where the space has none. An old study goes on as it began."""
        return provenance.regime_defaults(self.made)

    @property
    def identity(self) -> dict[str, Any]:
        """The parts of the study that must never change. See the function `identity`."""
        return identity(self.space, self.settings, self.trainable_digest, self.objective_digest)

    @property
    def digest(self) -> str:
        """What tells the study from another one of its name: how and when it was begun. It stays when it goes on."""
        text = json.dumps([self.recorded_name, self.identity, dict(self.made)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def reopen(cls, folder: Path) -> StudyFolder:
        """Read the `study.yaml` of a study that exists. The plug-ins that it names need not be installed.

        Raises a StudyError if the folder contains no study or its `study.yaml` is damaged, and a MachineError if the
        file cannot be read.
        """
        path = folder / STUDY_FILE
        if not path.exists():
            raise no_study_error(folder)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            settings = Settings(**content["settings"])
            budget = Budget(**content["budget"])
            space = spacefile.parse(content["space"], source=str(path), installed=False)
            made = dict(content["made"])
            found = (content.get(key) for key in ("weights", "data_files", "data_paths"))
            space = replace(space, task=space.task.relocated(*found))
            if "objective_file" in content:
                space = replace(space, objective_file=str(content["objective_file"])).located(Path())
            recorded_name, left_out = str(content["study"]), dict(content.get("left_out", {}))
            digests = {f"{key}_digest": content.get(key) for key in ("trainable", "objective")}
        except (OSError, UnicodeDecodeError) as error:
            raise MachineError(f"{path}: cannot be read: {error}") from None
        except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, UserError) as error:
            raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None
        study = cls(folder, space, settings, budget, **digests, made=made, left_out=left_out)
        study.recorded_name = recorded_name
        return study

    def save(self) -> None:
        """Write `study.yaml`: the search space, the settings, the budget, and how the study was begun."""
        task = self.space.task
        content = {
            "study": self.recorded_name,
            "space": self.space.to_dict(),
            "digest": self.space.digest(),
            **({"trainable": self.trainable_digest} if self.trainable_digest is not None else {}),
            **({"objective": self.objective_digest} if self.objective_digest is not None else {}),
            **({"weights": task.weights} if task.written_weights is not None else {}),
            **({"data_files": task.data_files} if task.data_files else {}),
            **({"objective_file": self.space.objective_file} if self.space.objective_file is not None else {}),
            **({"data_paths": task.data_paths} if task.data_paths else {}),
            "settings": self.settings.to_dict(),
            "budget": asdict(self.budget),
            **({"left_out": self.left_out} if self.left_out else {}),
            "made": dict(self.made),
        }
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_text(self.folder / STUDY_FILE, text)

    def begin(self, data: Mapping[str, Any] | None = None, earlier: EarlierStudy | None = None) -> Ledger:
        """Create the record and write `study.yaml`.

        Checkpoints and predictions of an earlier study in this folder are deleted.

        `data` is the record of the data and weights, or None if the task names no data set. `earlier` is what the
        search learns from an earlier study. Raises the errors of `create_ledger`.
        """
        for folder in (self.checkpoints, self.predictions):
            shutil.rmtree(folder, ignore_errors=True)
        ledger = create_ledger(self.storage_location, self.recorded_name, self.space, self.identity)
        keep_out_of_git(self.folder)
        self.write_data_record(data)
        write_earlier(self.folder / EARLIER_FILE, earlier)
        self.save()
        return ledger

    def write_data_record(self, data: Mapping[str, Any] | None) -> None:
        """Write the record of the data and weights that the study was begun on, or delete it if `data` is None."""
        if data is None:
            (self.folder / DATA_FILE).unlink(missing_ok=True)
        else:
            write_compressed(self.folder / DATA_FILE, data)

    def data_record(self) -> dict[str, Any] | None:
        """Read the record of the data and weights that the study was begun on.

        Returns None if the task names no data set, or if the trials are simulated. Raises a StudyError if the record is
        missing or damaged.
        """
        if self.space.task.dataset is None or self.settings.curves is not None:
            return None
        try:
            content: dict[str, Any] = read_compressed(self.folder / DATA_FILE)
        except FileNotFoundError:
            raise StudyError(
                f"study {self.name!r} has no {DATA_FILE}, which says which images are in which of its parts: it was "
                f"begun by an earlier version, or the file was removed; search under another name, such as "
                f"{free_name(self.folder)!r}"
            ) from None
        return content

    def earlier(self) -> EarlierStudy | None:
        """What the search learns from an earlier study, as it was when this study was begun. None if it learns nothing.

        Raises a StudyError if the record of it is missing or damaged.
        """
        source = self.settings.from_study
        return read_earlier(self.folder / EARLIER_FILE) if source is not None and source.learns else None

    def is_empty(self) -> bool:
        """Whether the record is here, and has no epoch."""
        try:
            return self.history()[0].n_epochs == 0
        except StudyError:  # the record is on another machine, or was begun with another identity
            return False

    def check_objective(self, digest: str | None) -> None:
        """Raise a StudyError if `digest` is not that of the objective's code that the study was begun with.

        None stands for an objective that is no function of the user.
        """
        if digest != self.objective_digest:
            raise StudyError(
                f"study {self.name!r} in {self.folder.parent} was begun with other code of its objective "
                f"{self.space.objective}: search under another name, such as {free_name(self.folder)!r}, or bring the "
                "old code back"
            )

    def check_trainable(self, digest: str | None) -> None:
        """Raise a StudyError if `digest` is not that of the training code that the study was begun with.

        None stands for the regime of the space.
        """
        if digest != self.trainable_digest:
            raise StudyError(other_code(self.folder, self.trainable_digest, digest))

    def ledger(self, *, write: bool) -> Ledger:
        """Open the record. Raises a StudyError if it was begun with another identity, such as another space or seed.

        With `write`, the record is also repaired, in case its process was killed. Raises a StudyError if the record
        belongs to another folder, of which this one is a copy. Raises the errors of `open_ledger`.
        """
        ledger = open_ledger(self.storage_location, self.recorded_name, self.space, write=write)
        try:
            if changed := differing(ledger.identity, self.identity):
                raise StudyError(
                    f"study {self.name!r}: its {', '.join(changed)} changed since it was begun; "
                    f"search the changed one under another name, such as {free_name(self.folder)!r}"
                )
            if write:
                self._check_is_no_copy(ledger)
                keep_out_of_git(self.folder)
                ledger.repair()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def history(self) -> tuple[History, str | None]:
        """Return the history of the study, and why it ended. The reason is None if it has not ended.

        Raises the errors of `ledger`.
        """
        with contextlib.closing(self.ledger(write=False)) as ledger:
            return ledger.history, ledger.finished

    def _check_is_no_copy(self, ledger: Ledger) -> None:
        """Raise a StudyError if this is a copy of a folder that still exists, and both have one record in a storage."""
        original = ledger.folder
        try:
            if original is None or original.samefile(self.folder):
                return
            study = StudyFolder.reopen(original)
        except (OSError, StudyError, MachineError):  # the study was moved here
            return
        if (study.settings.storage, study.recorded_name) == (self.settings.storage, self.recorded_name):
            raise StudyError(
                f"study {self.name!r} in {self.folder.parent} is a copy of {original}, and both have one record, "
                f"in {self.settings.storage}: a copy can only be read; search in {original}, or delete it first"
            )

    @property
    def storage_location(self) -> Path | str:
        """The URL of the storage, or the path of the journal."""
        return self.settings.storage or self.folder / LEDGER_FILE
