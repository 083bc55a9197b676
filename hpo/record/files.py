"""The files in the folder of a study: their names, the study's `.gitignore`, and atomic writes of text files."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import shlex
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hpo.errors import MachineError, StudyError, nearest
from hpo.study_names import LEDGER_FILE as LEDGER_FILE  # the alias exports them to other modules
from hpo.study_names import STUDY_FILE as STUDY_FILE
from hpo.study_names import recorded_study_names, study_names
from hpo.training import slots_file

DATA_FILE = "data.json.gz"
"""The files, images and weights that the study was begun on; see `trainables.assembly.recording`."""
EARLIER_FILE = "earlier.json.gz"
"""What a search learns from an earlier study; see `hpo.record.earlier`. It does not exist without one."""
CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints of the search."""
PREDICTIONS = "predictions"
"""The folder of the validation predictions of the trials; see `hpo.record.predictions`."""
RETRAINED = "retrained"
"""The folder of the checkpoints of a running test, which retrains trials. It is deleted when the test ends."""
REFITTED = "refitted"
"""The same for a test that trains on the validation images too."""
TEST_FILE = "test.json"
"""The test results."""
CONFUSION_FILE = "confusion.csv"
"""The confusion matrices of the tested models; see `hpo.heldout.confusion`."""
PER_CLASS_FILE = "per_class.csv"
"""The test results of each class; see `hpo.heldout.per_class`."""
TEST_IMAGES = "test_images.npz"
"""The results of the tested models for each held-out image; see `hpo.heldout.image_results`."""
MISCLASSIFIED = "misclassified.npz"
"""The images that the best tested trial classifies wrongly; see `trainables.model_inspection.misclassified`."""
TESTED_MODEL = "tested_model.pt"
"""The weights of the best tested trial; see `hpo.heldout.tested_model`."""
CONFIDENCE_FILE = "confidence.json"
"""How sure the results of the search are, if that takes long to compute; see `hpo.results.confidence_cache`."""
SOUP_FILE = "soup.json"
"""The soup of the study: which trials were averaged, and the results; see `hpo.heldout.soup_record`."""
SOUP_MODEL = "soup.pt"
"""The weights of the soup."""
TABLES = ("trials.csv", "best.csv", "comparison.csv", "comparison.md")
"""The tables of the trials, and beside published results; see `hpo.results.export`."""
FIGURES = "figures"
"""The folder of the plots."""
TRACKERS = ("tensorboard", "wandb", "mlflow.db", "trackers")
"""What the trackers write: their files, and the folder of their locks."""
_IGNORED_FILES = (
    *("lock", slots_file.FILE, LEDGER_FILE, CHECKPOINTS, PREDICTIONS),
    *(RETRAINED, REFITTED, FIGURES, MISCLASSIFIED, TESTED_MODEL, CONFIDENCE_FILE, SOUP_MODEL),
    *TRACKERS,
)
IGNORED = "".join(f"/{name}\n" for name in _IGNORED_FILES)
"""The content of a study's `.gitignore`: files that only this machine needs, and files with images of the data set."""


def find_folder(name: str | Path, studies: Path) -> Path:
    """The folder of the study that is named by the path of its folder, or by its name in the folder `studies`.

    The study need not exist. Raises a StudyError if `name` is empty.
    """
    check_not_empty(name, studies)
    path = Path(name)
    is_name = path.name == str(name)  # a name with a slash, "." or "" is only the path of a folder
    return path if (path / STUDY_FILE).exists() or not is_name else studies / path


def check_not_empty(name: str | Path, studies: Path) -> None:
    """Raise a StudyError, which lists the studies in the folder `studies`, if the name of a study is empty."""
    if name == "":
        raise StudyError(f"the name of the study is empty{_similar('', studies)}")


def no_study_error(folder: Path) -> StudyError:
    """The error that a folder contains no study. It names the most similar study beside it.

    If the folder contains studies, it names these. Studies without a record are not named.
    """
    if study_names(folder):
        names = recorded_study_names(folder)
        which = f"name one of them{_similar('', folder)}" if names else "the records of these studies are not here"
        return StudyError(f"{folder} is a folder of studies, not a study; {which}")
    folder = folder if folder.name else folder.absolute()
    return StudyError(f"no study {folder.name!r} in {folder.parent}{_similar(folder.name, folder.parent)}")


def _similar(name: str, studies: Path) -> str:
    """The studies in a folder, or those with the most similar names and the command that lists all."""
    where = "" if studies == Path("studies") else f" --studies {shlex.quote(str(studies))}"
    return nearest(name, recorded_study_names(studies), listed_by=[f"hpo studies{where}"])


def command(verb: str, folder: Path, *words: str, hpo: str = "hpo") -> str:
    """The command line that runs `verb` on a study, for messages to the user. `hpo` is the name of the program."""
    parent = folder.parent
    with contextlib.suppress(OSError, ValueError):  # outside of the working directory, the path stays as it is
        parent = parent.absolute().relative_to(Path.cwd())
    where = [] if parent == Path("studies") else [f"--studies {shlex.quote(str(parent))}"]
    return " ".join([hpo, verb, shlex.quote(folder.name), *words, *where])


def keep_out_of_git(folder: Path) -> None:
    """Write the `.gitignore` of a study, unless the folder contains one that the user changed.

    One that an earlier version wrote is replaced.
    """
    path = folder / ".gitignore"
    with contextlib.suppress(OSError, ValueError):
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if lines != IGNORED.splitlines() and set(lines) <= set(IGNORED.splitlines()):
            write_text(path, IGNORED)


def let_into_git(folder: Path) -> None:
    """Delete the `.gitignore` of a study, unless the user changed it."""
    with contextlib.suppress(OSError, ValueError):
        if (folder / ".gitignore").read_text(encoding="utf-8") == IGNORED:
            (folder / ".gitignore").unlink()


def write_compressed(path: Path, content: Any) -> None:
    """Write plain values as compressed JSON, atomically. Equal values give equal bytes.

    Raises a MachineError if the file cannot be written.
    """
    text = json.dumps(content, separators=(",", ":"))
    _write(path, gzip.compress(text.encode("ascii"), mtime=0))


def read_compressed(path: Path) -> Any:
    """Read the values that `write_compressed` wrote.

    Raises a StudyError if the file is damaged, and FileNotFoundError if there is none.
    """
    try:
        return json.loads(gzip.decompress(path.read_bytes()))
    except (gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically. Raises a MachineError if it cannot be written."""
    _write(path, text.encode("utf-8"))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file atomically. Raises a MachineError if it cannot be written."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    write_text(path, text.getvalue())


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise MachineError(f"{path}: cannot be written: {error}") from None
