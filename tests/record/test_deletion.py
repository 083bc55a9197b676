from pathlib import Path

from hpo.record import Budget, StudyFolder
from hpo.record.deletion import SEARCH_FILES, delete_empty_study, delete_if_empty
from tests import toy
from tests.loop.searching import INLINE


def test_a_deleted_study_leaves_only_files_of_the_user(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, toy.space(), INLINE, Budget(trials=1))
    study.begin(None).close()
    for name in set(SEARCH_FILES) - {path.name for path in tmp_path.iterdir()}:
        (tmp_path / name).write_text("of this study")
    (tmp_path / "tensorboard").unlink()
    (tmp_path / "tensorboard" / "trial_0").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("of the user")
    delete_if_empty(study)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_tables_without_a_study_are_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "comparison.md").write_text("of the user")
    delete_empty_study(tmp_path)
    assert (tmp_path / "comparison.md").exists()
