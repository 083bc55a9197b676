from __future__ import annotations

from pathlib import Path

from hpo.record import Budget, Settings, StudyFolder
from hpo.study_names import LEDGER_FILE, recorded_study_names, study_names
from tests import toy


def test_studies_whose_record_is_neither_here_nor_in_a_database_are_left_out(tmp_path: Path) -> None:
    for name, storage in (("with", None), ("tables", None), ("database", "sqlite:////nowhere/study.db")):
        folder = tmp_path / name
        folder.mkdir()
        StudyFolder(folder, toy.space(), Settings(storage=storage), Budget()).save()
    (tmp_path / "with" / LEDGER_FILE).touch()
    (tmp_path / "no study").mkdir()
    assert study_names(tmp_path) == ["database", "tables", "with"]
    assert recorded_study_names(tmp_path) == ["database", "with"]
    assert recorded_study_names(tmp_path / "nowhere") == []
