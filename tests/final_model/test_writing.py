"""Writing the best configuration of a study as a model folder: which weights, and with which results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import MachineError, StudyError, UserError
from hpo.final_model import ModelOptions, write_model
from hpo.heldout import Plan, evaluate, record
from hpo.loop import begin
from hpo.record import Budget, StudyFolder
from tests.final_model.own_code import Own
from tests.final_model.studies import accuracy, described, held_out_files, space
from tests.heldout import zoo


def test_the_tested_weights_are_written_with_their_results(study: Path, tmp_path: Path) -> None:
    result = evaluate(study, Plan(seeds=2)).trials[0]
    kept = (study / "tested_model.pt").read_bytes()
    written = write_model(study, tmp_path / "m")
    content = described(tmp_path / "m")
    tested = content["results"]["test"]
    assert (tested["loss"], tested["accuracy"]) == (result.test_loss.values[0], result.test_accuracy.values[0])
    assert tested["looks"] == 2
    assert accuracy(tmp_path / "m", study) == pytest.approx(result.test_accuracy.values[0])
    assert content["results"]["validation"]["val_loss"] == result.val_loss.values[0]
    assert content["training"] == {
        "trained_on": "train",
        "epochs": 3,
        "seed": 0,
        "images": 20,
        "protocol": "retrain",
    } | {"epochs": result.stopping_epoch}
    assert content["study"]["trial"] == result.trial
    assert content["network"]["configuration"] == {**space().fixed, **result.config}
    assert content["classes"] == ["cat", "dog"]
    assert written.lines[0].startswith(f"trial {result.trial}, seed 0: trained on train")
    assert record.TestRecord.read(StudyFolder.reopen(study)).n_looks == 2
    assert (study / "tested_model.pt").read_bytes() == kept


def test_tested_weights_that_were_deleted_are_trained_again_with_the_same_seed(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    write_model(study, tmp_path / "kept")
    (study / "tested_model.pt").unlink()
    notes: list[str] = []
    write_model(study, tmp_path / "again", notify=notes.append)
    assert notes == []
    assert described(tmp_path / "again") == described(tmp_path / "kept") | {
        "calibration": {
            key: value
            for key, value in described(tmp_path / "kept")["calibration"].items()
            if not key.startswith("held_out")
        }
    }
    assert not (study / "retrained").exists()


def test_a_model_has_no_result_of_other_weights_though_a_test_was_interrupted_before_it_wrote_its_own(
    study: Path, tmp_path: Path
) -> None:
    tested = evaluate(study).trials[0]
    for path in held_out_files(study, "training")[0][:6]:
        path.unlink()
    (study / "per_class.csv").unlink()
    (study / "per_class.csv").mkdir()  # so the results of the next test cannot be written
    with pytest.raises(MachineError, match=r"per_class\.csv"):
        evaluate(study, skip_changed_files=True)
    (study / "per_class.csv").rmdir()
    opened = record.TestRecord.read(StudyFolder.reopen(study))
    assert (opened.trials, opened.n_looks) == ([tested], 2)
    notes: list[str] = []
    write_model(study, tmp_path / "m", ModelOptions(skip_changed_files=True), notify=notes.append)
    assert described(tmp_path / "m")["results"]["test"] is None
    assert "the new ones differ" in notes[0]


def test_weights_that_are_trained_again_and_differ_have_no_test_result(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    (study / "tested_model.pt").unlink()
    path = study / "test.json"
    loss = record.TestRecord.read(StudyFolder.reopen(study)).trials[0].val_loss.values[0]
    path.write_text(path.read_text().replace(str(loss), str(loss + 0.01)))
    notes: list[str] = []
    write_model(study, tmp_path / "m", notify=notes.append)
    assert described(tmp_path / "m")["results"]["test"] is None
    assert "are not there any more, and the new ones differ" in notes[0]


def test_a_study_that_is_not_tested_gives_the_weights_of_the_search(study: Path, tmp_path: Path) -> None:
    written = write_model(study, tmp_path / "m")
    content = described(tmp_path / "m")
    best = hpo.open_study(study).best
    assert content["results"]["test"] is None
    assert content["training"]["protocol"] == "checkpoint"
    assert content["results"]["validation"]["val_loss"] == best.metrics["val_loss"]
    assert "not tested: `hpo test s` tests the best trial on held-out data" in written.lines
    assert not (study / "test.json").exists()


def test_another_trial_can_be_written(study: Path, tmp_path: Path) -> None:
    evaluate(study)
    other = StudyFolder.reopen(study).history()[0].ranked()[1].number
    write_model(study, tmp_path / "m", ModelOptions(trial=other))
    content = described(tmp_path / "m")
    assert (content["study"]["trial"], content["results"]["test"]) == (other, None)


def test_wrong_arguments_are_errors_and_leave_nothing(study: Path, root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown part 'test' to train on .*allowed: all, train, train\+validation"):
        ModelOptions(train_on="test")
    with pytest.raises(UserError, match="trial 9 of study 's' is not there: 2 are numbered from 0"):
        write_model(study, tmp_path / "m", ModelOptions(trial=9))
    with pytest.raises(UserError, match="was searched with the regime of its space"):
        write_model(study, tmp_path / "m", trainable=Own)
    with pytest.raises(UserError, match="is not empty, and is not a model folder"):
        write_model(study, root)
    begin(tmp_path / "none", space(), zoo.settings(root), Budget(seconds=1e-9))
    with pytest.raises(StudyError, match="no trial with a finite loss"):
        write_model(tmp_path / "none", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(study: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    epochs: list[int] = []
    with pytest.raises(UserError, match=r"--out .*/file/m: cannot be written: .*/file is not a folder"):
        write_model(
            study, tmp_path / "file" / "m", ModelOptions(train_on="all"), watch=lambda epoch, n: epochs.append(epoch)
        )
    assert epochs == []
    # The name of the temporary folder is longer than a name may be.
    with pytest.raises(MachineError, match=r"--out .*aaa: cannot be written: File name too long"):
        write_model(study, tmp_path / ("a" * 250))


def test_a_study_without_a_data_set_has_no_model(tmp_path: Path) -> None:
    def train(config: Any) -> Any:
        yield {"val_loss": 1.0}

    found = hpo.search(
        hpo.SearchSpace("line", {"lr": hpo.Float(0.1, 1.0)}, hpo.Fidelity(1)),
        train,
        trials=1,
        studies=tmp_path,
        study="s",
        backend="random",
        quiet=True,
    )
    with pytest.raises(UserError, match=r"has no `task\.dataset`"):
        found.model(tmp_path / "m")
