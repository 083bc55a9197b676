"""Studies of data sets with a class of too few images to be split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import TaskError
from hpo.heldout import Plan, evaluate, study_data
from hpo.loop import Session, begin, resume
from hpo.record import Budget, StudyFolder
from hpo.space import Validation
from hpo.training import Builder, Job
from tests.heldout.zoo import settings, space
from tests.trainables.datasets import pictures
from trainables.data.heldout import held_out


@pytest.mark.parametrize("validation", [Validation(fraction=0.2), Validation(folds=5)])
@pytest.mark.parametrize(("rule", "count"), [("keep", 3), ("keep", 5), ("leave_out", 1), ("leave_out", 5)])
def test_a_rare_class_is_kept_or_left_out_of_a_whole_study(
    root: Path, tmp_path: Path, rule: str, count: int, validation: Validation
) -> None:
    """With 5 images, the class can be held out, but is too small to validate on."""
    pictures.folders(root / "zoo", {"yak": count}, suffix=".png", first=100)
    with pytest.raises(TaskError, match=r"class 'yak' has .*; set `dataset\.rare_classes` to (keep or )?leave_out"):
        begin(tmp_path / "s", space(validation=validation), settings(root), Budget(trials=1))
    notes: list[str] = []
    begin(
        tmp_path / "s",
        space(rule, validation=validation),
        settings(root),
        Budget(trials=1),
        session=Session(notify=notes.append),
    )
    done = {"keep": "keeps at least one image in each part", "leave_out": "is left out"}[rule]
    part = " to search with" if count == 5 else ""
    assert any(f"a class with fewer than 5 images{part} {done}: 'yak' (" in note for note in notes)
    resume(tmp_path / "s", Budget(trials=2))
    evaluate(tmp_path / "s", Plan(protocol="checkpoint"))
    found = StudyFolder.reopen(tmp_path / "s")
    job = Job(found.space, 0, found.data)
    data = study_data.check(found, job)
    builder = Builder(replace(job, manifest=data.manifest), "cpu")
    folds = builder.search_data({"image_size": 4})
    held = builder.held_out(held_out, {"image_size": 4})
    assert folds[0] is not None
    assert folds[0].classes == (("cat", "dog", "yak") if rule == "keep" else ("cat", "dog"))
    parts = [held, *(part for fold in folds if fold is not None for part in (fold.train, fold.validation))]
    n_yaks = [int((part.labels == 2).sum()) for part in parts]
    assert (sum(n_yaks) > 0) == (rule == "keep")
    if rule == "keep":
        assert all(n_yaks[1::2])
        assert n_yaks[0] == 1


@pytest.mark.parametrize(
    ("rule", "count", "validation", "message"),
    [
        ("keep", 2, Validation(fraction=0.2), "1 image .*`dataset.rare_classes: keep` needs 2 of them: one to train"),
        ("error", 5, Validation(fraction=0.2), "4 images .*`task.validation.fraction: 0.2` needs 5 of them; take a fr"),
        (
            "error",
            5,
            Validation(folds=5),
            "4 images .*folds: 5` needs 5 of them; take fewer folds; set .* to keep or l",
        ),
    ],
)
def test_images_that_are_held_out_are_not_counted_as_too_few_to_validate(
    root: Path, tmp_path: Path, rule: str, count: int, validation: Validation, message: str
) -> None:
    pictures.folders(root / "zoo", {"yak": count}, suffix=".png", first=100)
    words = f"data set 'zoo': class 'yak' has {message.replace(' .*', ' to search with; .*', 1)}"
    with pytest.raises(TaskError, match=words):
        begin(tmp_path / "s", space(rule, validation=validation), settings(root), Budget(trials=1))
