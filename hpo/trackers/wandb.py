"""The tracker `wandb`: a run a trial, in one group a study, on the server of Weights & Biases or offline.

The id of a run follows from the study and the number of its trial, and the step of a point is its epoch. What was sent
stands in a file beside the offline runs, because these cannot be asked. The part of a run that a killed process left is
deleted from the disk and written again; on a server, it has the same id and the same steps.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from hpo.errors import UserError
from hpo.record.files import write_text
from hpo.trackers._tracker import TrackedStudy, TrackedTrial, metrics

REQUIRES = "wandb"
WHERE = {
    "PROJECT": "the project; default $WANDB_PROJECT, or hpo",
    "ENTITY/PROJECT": "a project of a team or of another user",
}
FOLDER = "wandb"
"""The folder in that of the study."""
SENT = "sent.json"
"""The file in it that says what was sent, and which runs are open."""


BAD_CHARACTERS = "\\#?%:"
"""What the name of a project may not contain."""


def check(where: str | None) -> None:
    """Raise a UserError if `where` is neither a project nor `entity/project`."""
    parts = [] if where is None else where.split("/")
    if len(parts) > 2 or not all(part.strip() for part in parts):
        raise UserError(f"tracker wandb={where}: write wandb=PROJECT or wandb=ENTITY/PROJECT")
    if found := sorted(set(BAD_CHARACTERS).intersection("".join(parts))):
        raise UserError(f"tracker wandb={where}: the name of a project has no {' '.join(found)}")


def place(study: TrackedStudy, where: str | None) -> str:
    """The folder of the runs if the client is offline, and the project otherwise."""
    if os.environ.get("WANDB_MODE") == "offline":
        return str(study.folder / FOLDER)
    return f"the project {where or os.environ.get('WANDB_PROJECT') or 'hpo'} of Weights & Biases"


def build(study: TrackedStudy, where: str | None) -> WeightsAndBiases:
    """Build the tracker. `where` is the project, or `entity/project`; $WANDB_PROJECT or `hpo` by default."""
    return WeightsAndBiases(study, where)


class WeightsAndBiases:
    """Writes runs by the client of Weights & Biases, which is set up by its own environment variables."""

    def __init__(self, study: TrackedStudy, where: str | None) -> None:
        self._study = study
        entity, _, project = (where or "").rpartition("/")
        self._entity, self._project = entity or None, project or None
        self._folder = study.folder / FOLDER
        self._runs: dict[int, Any] = {}
        """The open runs by the number of their trial."""
        self._record = _SentRecord(self._folder / SENT)

    def update(self, trial: TrackedTrial) -> None:
        last, state = self._record.sent(trial.number)
        new = [report for report in trial.reports if report.fidelity > last]
        if not new and trial.state == state:
            return
        run = self._runs.get(trial.number) or self._open(trial)
        for report in new:
            run.log({**metrics(report), "epoch": report.fidelity}, step=report.fidelity, commit=True)
        run.summary["state"] = trial.state
        if trial.error is not None:
            run.summary["error"] = trial.error
        epoch = max(last, *(report.fidelity for report in trial.reports[-1:]), 0)  # an older version takes nothing back
        self._record.note_logged(trial.number, epoch, trial.state)
        if trial.is_over or trial.state == "paused":
            self._close(trial.number, failed=trial.error is not None)

    def close(self) -> None:
        for number in list(self._runs):
            self._close(number)
        import wandb

        wandb.teardown()  # waits for the process of the client, which writes and sends what it was given

    def _open(self, trial: TrackedTrial) -> Any:
        """Open the run of a trial, and delete what a killed process left of it in the folder of the study."""
        import wandb

        unfinished = self._record.unfinished(trial.number)
        if unfinished is not None:
            shutil.rmtree(self._folder / unfinished, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            entity=self._entity,
            project=self._project or _default_project(),
            group=self._study.name,
            name=f"{self._study.name} trial {trial.number}",
            id=f"{self._study.digest}-{trial.number}",
            config={**trial.parameters, "trial": trial.number},
            dir=str(self._study.folder),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", save_code=False, disable_git=True),
        )
        run.define_metric("*", step_metric="epoch")
        self._runs[trial.number] = run
        self._record.note_open(trial.number, Path(run.dir).parent.name)
        return run

    def _close(self, number: int, *, failed: bool = False) -> None:
        self._runs.pop(number).finish(exit_code=1 if failed else 0)
        self._record.note_finished(number)


class _SentRecord:
    """What was sent of each trial, as a file. Only what a finished run holds counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
        self._logged: dict[int, tuple[int, str]] = {}

    def sent(self, number: int) -> tuple[int, str]:
        """The last epoch and the state of a trial that were sent, 0 and an empty text if there are none."""
        if number in self._logged:
            return self._logged[number]
        known = self._content.get(str(number), {})
        return known.get("epoch", 0), known.get("state", "")

    def unfinished(self, number: int) -> str | None:
        """The name of the folder of the run of a trial that was open when its process was killed.

        Earlier versions recorded the path of the folder. In a copy of the study that is the folder of the original.
        """
        folder = self._content.get(str(number), {}).get("open")
        return None if folder is None else Path(folder).name or None

    def note_open(self, number: int, folder: str) -> None:
        """Record that a run is open, by the name of its folder, before anything is logged."""
        self._content.setdefault(str(number), {})["open"] = folder
        self._save()

    def note_logged(self, number: int, epoch: int, state: str) -> None:
        """Note what an open run has taken. It is recorded when the run is finished."""
        self._logged[number] = epoch, state

    def note_finished(self, number: int) -> None:
        """Record that a run is finished, with all that was logged."""
        epoch, state = self._logged.pop(number, self.sent(number))
        self._content[str(number)] = {"epoch": epoch, "state": state}
        self._save()

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._path, json.dumps(self._content))


def _default_project() -> str | None:
    """None lets the client take the project of its environment."""
    return None if os.environ.get("WANDB_PROJECT") else "hpo"
