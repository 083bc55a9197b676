"""The names of the studies in a folder. It imports little, so that Tab in a shell answers at once."""

from __future__ import annotations

import re
from pathlib import Path

STUDY_FILE = "study.yaml"
"""The search space and the settings of a study. A folder that contains this file is a study."""
LEDGER_FILE = "ledger.log"
"""The journal of the ledger. It does not exist if the ledger is in another Optuna storage."""
_WITHOUT_STORAGE = re.compile(r"^ +storage: null$", re.MULTILINE)
"""The line in the file of a study whose ledger is a journal in its folder."""


def study_names(folder: Path) -> list[str]:
    """Return the sorted names of all studies in a folder. Empty if there is no such folder. Raises OSError."""
    return sorted(path.parent.name for path in folder.glob(f"*/{STUDY_FILE}")) if folder.is_dir() else []


def recorded_study_names(folder: Path) -> list[str]:
    """Return the names of the studies of `study_names` that have a record, as most commands need.

    A copy of a study from git has tables and no record. Whether a record in a database exists is not looked up.
    """
    return [name for name in study_names(folder) if _has_record(folder / name)]


def _has_record(study: Path) -> bool:
    if (study / LEDGER_FILE).exists():
        return True
    try:
        return not _WITHOUT_STORAGE.search((study / STUDY_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return True  # the command says what is wrong with the file
