"""The folder of a fit: its request, what each finished step found and cost, and the files that it ends with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.errors import MachineError, UserError
from hpo.fit.request import FitRequest
from hpo.record import keep_out_of_git, write_text

FIT_FILE = "fit.json"


class FitFolder:
    """The folder that a fit writes. A fit that was interrupted goes on from what its `fit.json` holds."""

    def __init__(self, path: Path, request: FitRequest) -> None:
        """Open the folder of a fit, or create it.

        Raises a UserError if the folder holds something else, or a fit of another request, and a MachineError if its
        `fit.json` cannot be read or written.
        """
        self.path = path.absolute()
        self.request = request
        self._steps: dict[str, dict[str, Any]] = {}
        self._unfinished: dict[str, float] = {}
        if self._file.exists():
            self._read()
        else:
            self._create()

    @property
    def studies(self) -> Path:
        """The folder of the studies."""
        return self.path / "studies"

    @property
    def model(self) -> Path:
        """The model folder that the fit ends with."""
        return self.path / "model"

    @property
    def report(self) -> Path:
        """The page that shows what was found."""
        return self.path / "report.html"

    @property
    def space(self) -> Path:
        """The space that the winner was found in, to be refined by hand."""
        return self.path / "space.yaml"

    def step(self, name: str) -> Mapping[str, Any] | None:
        """Return what a finished step found, or None if it is not finished."""
        return self._steps.get(name)

    def end_step(self, name: str, seconds: float, **found: object) -> None:
        """Record that a step is finished, its seconds, and what it found, as plain values."""
        self._steps[name] = {"seconds": round(seconds, 1), **found}
        self._unfinished.pop(name, None)
        self._write()

    def keep_seconds(self, name: str, seconds: float) -> None:
        """Record the seconds of a step that is not finished, so that they count if it is interrupted."""
        self._unfinished[name] = round(seconds, 1)
        self._write()

    def kept_seconds(self, name: str) -> float:
        """Return the recorded seconds of a step that is not finished."""
        return self._unfinished.get(name, 0.0)

    @property
    def seconds_spent(self) -> float:
        """The seconds of all finished steps, and those on record of unfinished ones."""
        return float(sum(step["seconds"] for step in self._steps.values()) + sum(self._unfinished.values()))

    @property
    def _file(self) -> Path:
        return self.path / FIT_FILE

    def _create(self) -> None:
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(f"{self.path} is there already, and was not written by `hpo fit`: give another --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            keep_out_of_git(self.path)
        except OSError as error:
            raise MachineError(f"{self.path} cannot be written: {error}") from None
        self._write()

    def _read(self) -> None:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            recorded, self._steps = dict(content["request"]), dict(content["steps"])
            self._unfinished = dict(content.get("unfinished", {}))
        except OSError as error:
            raise MachineError(f"{self._file} cannot be read: {error}") from None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self._file} is damaged: give another --out, or delete the folder") from None
        if differing := self.request.differences(recorded):
            raise UserError(
                f"{self.path} holds a fit with {'; '.join(differing)}: repeat its options, or give another --out"
            )

    def _write(self) -> None:
        content = {"request": self.request.to_dict(), "steps": self._steps, "unfinished": self._unfinished}
        write_text(self._file, json.dumps(content, indent=1) + "\n")
