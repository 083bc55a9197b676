"""The weights of the best tested trial, which a test keeps."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hpo.errors import StudyError
from hpo.heldout import Plan, Spread, evaluate, tested_model
from hpo.heldout.tested_model import KeptModel
from hpo.record import StudyFolder
from tests.heldout.studies import content


def kept(folder: Path) -> KeptModel:
    found = tested_model.read(StudyFolder.reopen(folder))
    assert found is not None
    return found


def replace_first(spread: Spread, value: float) -> Spread:
    return Spread.of([value, *spread.values[1:]])


def test_a_metric_that_is_not_finite_is_no_other_one(folder: Path) -> None:
    tested = evaluate(folder).trials[0]
    found = replace(kept(folder), metrics={**kept(folder).metrics, "loss": math.inf})
    assert not found.belongs_to(tested)
    assert found.belongs_to(replace(tested, test_loss=replace_first(tested.test_loss, math.nan)))


def test_a_test_keeps_the_first_seed_of_the_best_trial_with_its_predictions(folder: Path) -> None:
    assert tested_model.read(StudyFolder.reopen(folder)) is None
    record = evaluate(folder, Plan(top=2, seeds=2))
    found, best = kept(folder), record.ranked()[0]
    assert (found.trial, found.seed, found.protocol) == (best.trial, 0, "retrain")
    assert found.belongs_to(best)
    assert not found.belongs_to(record.ranked()[1])
    other = replace(best, test_loss=replace_first(best.test_loss, 9.0))
    assert not found.belongs_to(other)
    correct = found.held_out["probabilities"].argmax(dim=1) == found.held_out["labels"]
    assert float(correct.double().mean()) == pytest.approx(best.test_accuracy.values[0])
    assert not (folder / "retrained").exists()


def test_a_test_that_trains_nothing_new_leaves_it_as_it_is(folder: Path) -> None:
    evaluate(folder)
    before = (folder / "tested_model.pt").read_bytes()
    evaluate(folder, Plan(top=2, seeds=2))
    assert (folder / "tested_model.pt").read_bytes() == before


def test_a_test_by_another_protocol_replaces_it(folder: Path) -> None:
    before = evaluate(folder)
    record = evaluate(folder, Plan(protocol="checkpoint"))
    assert kept(folder).protocol == "checkpoint"
    assert kept(folder).belongs_to(record.trials[0])
    assert not kept(folder).belongs_to(before.trials[0])
    best = StudyFolder.reopen(folder).history()[0].ranked()[0].best
    assert best is not None
    assert kept(folder).validation["val_loss"] == best.metrics["val_loss"]


def test_it_is_kept_out_of_git_in_studies_of_earlier_versions_too(folder: Path) -> None:
    lines = (folder / ".gitignore").read_text().splitlines()
    assert "/tested_model.pt" in lines
    (folder / ".gitignore").write_text("".join(f"{line}\n" for line in lines if line != "/tested_model.pt"))
    evaluate(folder)
    assert (folder / ".gitignore").read_text().splitlines() == lines


def test_a_gitignore_that_the_user_changed_stays_as_it_is(folder: Path) -> None:
    (folder / ".gitignore").write_text("/mine\n")
    evaluate(folder)
    assert (folder / ".gitignore").read_text() == "/mine\n"


def test_a_damaged_file_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "tested_model.pt").write_bytes(b"no checkpoint")
    with pytest.raises(StudyError, match=r"tested_model\.pt: is damaged"):
        kept(folder)
    torch.save({"trial": 3}, folder / "tested_model.pt")
    with pytest.raises(StudyError, match=r"tested_model\.pt: is damaged, or was written by another version"):
        kept(folder)


def test_a_test_of_the_same_configuration_after_the_file_was_deleted_looks_at_nothing(folder: Path) -> None:
    evaluate(folder)
    (folder / "tested_model.pt").unlink()
    assert evaluate(folder).n_looks == 1
    assert content(folder)["looks"] == 1
