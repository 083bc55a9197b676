"""The files that a study writes itself into its folder. No output of a command may replace one of them."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import UserError
from hpo.record import files
from hpo.study_names import STUDY_FILE
from hpo.training import slots_file

NAMES = frozenset(
    {
        *(STUDY_FILE, files.LEDGER_FILE, files.DATA_FILE, files.EARLIER_FILE, files.TEST_FILE, files.CONFUSION_FILE),
        *(files.PER_CLASS_FILE, files.TEST_IMAGES, files.MISCLASSIFIED, files.TESTED_MODEL, files.CONFIDENCE_FILE),
        *(
            files.SOUP_FILE,
            files.SOUP_MODEL,
            files.CHECKPOINTS,
            files.PREDICTIONS,
            files.RETRAINED,
            files.REFITTED,
            slots_file.FILE,
        ),
        *("lock", ".gitignore", *files.TABLES, *files.TRACKERS),
    }
)
"""The names of the files and folders in the folder of a study that it writes itself."""


def check_not_own(out: Path) -> None:
    """Raise UserError if the file `out` is one that a study writes itself, or lies in such a folder of a study."""
    for path in (out.absolute(), out.resolve()):
        for folder in path.parents:
            name = path.relative_to(folder).parts[0]
            if name in NAMES and (folder / STUDY_FILE).exists():
                raise UserError(
                    f"--out {out}: study {folder.name!r} writes {name} itself; name a file outside {folder}"
                )
