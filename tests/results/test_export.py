from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hpo import results
from hpo.errors import MachineError
from hpo.record import Budget, Settings, StudyFolder, write_text
from hpo.results import tables
from tests import toy


def test_the_study_folder_gets_all_trials_and_the_best(study: StudyFolder) -> None:
    results.write_tables(study)
    assert len(pd.read_csv(study.folder / "trials.csv")) == 3
    assert list(pd.read_csv(study.folder / "best.csv")["trial"]) == [1, 0]


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    """A folder takes the place of the file, so the last step, the renaming, fails."""
    target = tmp_path / "table.csv"
    target.mkdir()
    with pytest.raises(MachineError, match=r"table\.csv: cannot be written"):
        write_text(target, "a,b\n")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_study_without_trials_is_an_empty_table(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    folder.mkdir()
    study = StudyFolder(folder, toy.space(), Settings(), Budget())
    study.begin().close()
    frame = tables.table(study)
    assert len(frame) == 0
    results.write_tables(study)
    assert (folder / "trials.csv").read_text().startswith("trial,state,kind,x,y")
