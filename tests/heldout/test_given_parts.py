"""Studies of data sets that have a validation part of their own, or no held-out part."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import StudyError, UserError
from hpo.heldout import Plan, evaluate
from hpo.loop import Session, begin, resume
from hpo.record import Budget, StudyFolder
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from tests.heldout.zoo import LR, settings
from tests.trainables.datasets import pictures


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """The folder of all data sets, with a data set in two parts."""
    n = pictures.folders(tmp_path / "data/parts/train", {"cat": 12, "dog": 12})
    pictures.folders(tmp_path / "data/parts/val", {"cat": 4, "dog": 4}, first=n)
    return tmp_path / "data"


def space(**options: str) -> SearchSpace:
    task = Task(
        "from_scratch", "softmax_regression", dataset=DatasetSpec("image_folder", {"folder": "parts"} | options)
    )
    return SearchSpace("parts", LR, Fidelity(1), task, {"image_size": 4, "batch_size": 8})


def test_a_study_without_a_held_out_part_is_searched_and_resumed_but_not_tested(parts: Path, tmp_path: Path) -> None:
    study, notes = tmp_path / "s", list[str]()
    begin(study, space(held_out="none"), settings(parts), Budget(trials=1), session=Session(notify=notes.append))
    assert notes[0] == "images: 24 train (parts/train), 8 validation (parts/val), none held out"
    resume(study, Budget(trials=2))
    with pytest.raises(UserError, match="study 's' cannot be tested: its data set has no held-out part"):
        evaluate(study)
    assert not (study / "test.json").exists()


def test_a_study_that_reads_its_space_again_still_uses_the_given_validation_part(parts: Path, tmp_path: Path) -> None:
    study = tmp_path / "s"
    begin(study, space(held_out="none"), settings(parts), Budget(trials=1))
    assert not StudyFolder.reopen(study).space.task.validation.is_given


def test_a_validation_file_that_is_gone_is_noticed_and_can_be_left_out(parts: Path, tmp_path: Path) -> None:
    study = tmp_path / "s"
    begin(study, space(held_out="none"), settings(parts), Budget(trials=1))
    gone = next((parts / "parts/val/cat").iterdir())
    gone.unlink()
    with pytest.raises(StudyError, match=f"1 file was removed: .*{gone.name}"):
        resume(study, Budget(trials=2))
    resume(study, Budget(trials=2), skip_changed_files=True)
    assert StudyFolder.reopen(study).left_out == {"training": 1}


def test_a_study_with_all_three_parts_is_tested(parts: Path, tmp_path: Path) -> None:
    pictures.folders(parts / "parts/test", {"cat": 3, "dog": 3}, first=100)
    begin(tmp_path / "s", space(), settings(parts), Budget(trials=1))
    assert evaluate(tmp_path / "s", Plan(protocol="checkpoint")).n_looks == 1
