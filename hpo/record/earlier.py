"""The file of what a search learns from an earlier study: its configurations, epochs and values.

It is written once, when the study begins, and read whenever it goes on. So a resume is exact, also if the earlier study
was deleted or went on meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpo.errors import StudyError
from hpo.record.files import read_compressed, write_compressed
from hpo.space.values import with_lists, with_tuples
from hpo.trial import EarlierStudy, EarlierTrial


def write_earlier(path: Path, earlier: EarlierStudy | None) -> None:
    """Write what a search learns, atomically, or delete the file if it learns nothing."""
    if earlier is None:
        path.unlink(missing_ok=True)
        return
    trials = [
        {
            "config": {name: with_lists(value) for name, value in trial.config.items()},
            "values": [[epoch, value] for epoch, value in trial.values.items()],
        }
        for trial in earlier.trials
    ]
    content = {"study": earlier.name, "hyperparameters": list(earlier.hyperparameters), "high": earlier.high}
    write_compressed(path, {**content, "trials": trials})


def read_earlier(path: Path) -> EarlierStudy:
    """Read what `write_earlier` wrote. Raises a StudyError if the file is missing or damaged."""
    try:
        content = read_compressed(path)
        trials = tuple(map(_trial, content["trials"]))
        return EarlierStudy(str(content["study"]), tuple(content["hyperparameters"]), int(content["high"]), trials)
    except FileNotFoundError:
        raise StudyError(f"{path}: is missing; it holds what this study learns from an earlier one") from None
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None


def _trial(content: dict[str, Any]) -> EarlierTrial:
    config = {name: with_tuples(value) for name, value in content["config"].items()}
    return EarlierTrial(config, {int(epoch): float(value) for epoch, value in content["values"]})
