"""Results on held-out data as the tables of the Python API: those of tested trials, and those of a soup."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from hpo.api.progress import interrupt_note
from hpo.heldout import TestRecord, make_soup
from hpo.results.progress import print_note
from hpo.results.soup import lines
from hpo.results.training_progress import TrainingProgress
from hpo.space.values import list_as_text
from hpo.training.random_states import unchanged_random_states

if TYPE_CHECKING:
    from pandas import DataFrame


def tested_frame(record: TestRecord) -> DataFrame:
    """Return a row for each tested trial. The columns are those of `Study.test`."""
    import pandas as pd

    rows = [
        {
            "trial": tested.trial,
            **{name: list_as_text(value) for name, value in tested.config.items()},
            "protocol": tested.protocol,
            "seeds": len(tested.seeds),
            "epochs": tested.stopping_epoch,
            "val_accuracy": tested.val_accuracy.mean,
            "val_accuracy_std": tested.val_accuracy.std,
            "test_accuracy": tested.test_accuracy.mean,
            "test_accuracy_std": tested.test_accuracy.std,
            "test_loss": tested.test_loss.mean,
            **{name: spread.mean for name, spread in tested.metrics.items()},
        }
        for tested in record.trials
    ]
    return pd.DataFrame(rows)


def soup_frame(folder: Path, top: int, *, quiet: bool, skip_changed_files: bool) -> DataFrame:
    """Make the soup of the study in `folder`, and return its row and that of the best single model.

    The arguments and the columns are those of `Study.soup`.
    """
    import pandas as pd

    progress = TrainingProgress(Console(stderr=True, quiet=quiet, force_jupyter=False))
    with interrupt_note(lambda: folder, quiet=quiet), unchanged_random_states(), progress:
        notify = None if quiet else print_note
        soup, record = make_soup(
            folder, top, watch_epoch=progress, notify=notify, skip_changed_files=skip_changed_files
        )
    if not quiet:
        print(*lines(soup, record), sep="\n")
    rows = [
        ("soup", list(soup.chosen), soup.validation, soup.test),
        ("best", [soup.best.trial], soup.best.validation, soup.best_test),
    ]
    return pd.DataFrame(
        [
            {
                "model": model,
                "trials": trials,
                **{f"val_{name}": value for name, value in validation.items()},
                **{f"test_{name}": value for name, value in held_out.items()},
            }
            for model, trials, validation, held_out in rows
        ]
    )
