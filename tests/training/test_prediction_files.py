"""Tests of the files of validation predictions."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from hpo.errors import MachineError
from hpo.training import epoch_records
from hpo.training.best_logits import BestLogits
from hpo.training.prediction_files import (
    Held,
    PredictionFiles,
    decode,
    encode_targets,
    encode_trial,
    targets_digest,
)
from hpo.training.sent_predictions import SentPredictions, receive

LABELS, FOLDS = np.array([0, 1, 1]), np.array([0, 0, 1])
LOGITS = np.array([[0, -1], [-2, 0], [-3, 0]], np.float16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "predictions"


@pytest.fixture
def files(folder: Path) -> PredictionFiles:
    return PredictionFiles(folder)


def best(epoch: int) -> BestLogits:
    return BestLogits(epoch, LOGITS, 77)


def record(epoch: int, loss: float = 0.0) -> bytes:
    found = epoch_records.encode(epoch, np.full(3, loss, np.float32), LABELS, 77)
    assert found is not None
    return found


def newest(files: PredictionFiles, trial: int) -> bytes:
    return next(files.read(trial))


def epochs(files: PredictionFiles, trial: int) -> list[int]:
    """The epochs of the files of a trial, the newest first."""
    return [int(decode(content)["epoch"]) for content in files.read(trial)]


def test_files_hold_what_was_written(files: PredictionFiles) -> None:
    files.write(3, best(5))
    files.write_targets(encode_targets(LABELS, FOLDS))
    trial, targets = decode(newest(files, 3)), decode(files.read_targets())
    assert (int(trial["epoch"]), int(trial["targets"]), trial["logits"].tolist()) == (5, 77, LOGITS.tolist())
    assert trial["logits"].dtype == np.float16
    assert (targets["labels"].tolist(), targets["folds"].tolist()) == (LABELS.tolist(), FOLDS.tolist())
    files.finish(3)
    assert newest(files, 3) == encode_trial(5, LOGITS.copy(), 77)


def test_a_trial_that_does_not_train_has_one_file_of_its_best_epoch(files: PredictionFiles, folder: Path) -> None:
    for trial, epoch in [(1, 1), (1, 2), (11, 1), (11, 2)]:
        files.write(trial, best(epoch))
    assert (epochs(files, 1), epochs(files, 11)) == ([2, 1], [2, 1])
    for _ in range(2):
        files.finish(1)
    assert (epochs(files, 1), epochs(files, 11)) == ([2], [2, 1])
    files.write(1, best(4))
    assert epochs(files, 1) == [4, 2]
    files.finish(1)
    files.discard(11)
    assert [path.name for path in folder.iterdir()] == ["1.npz"]
    assert epochs(files, 1) == [4]


def test_an_epoch_that_is_not_on_record_does_not_become_the_best(files: PredictionFiles) -> None:
    for epoch in (3, 5):
        files.write(0, best(epoch))
    files.finish(0, after=4)
    assert epochs(files, 0) == [3]


def test_a_trial_goes_on_with_what_is_on_record(files: PredictionFiles) -> None:
    assert files.begin(0, 0) == Held()
    for epoch in (1, 2, 3):
        files.write(0, best(epoch))
        files.write_epoch(0, record(epoch))
    assert files.begin(0, 2) == Held(frozenset({1, 2}), has_best=True)
    assert (epochs(files, 0), [each.epoch for each in files.read_epochs(0)]) == ([2], [1, 2])
    files.finish(0)
    assert files.begin(0, 2).has_best
    assert not files.begin(0, 1).has_best


def test_the_files_of_an_earlier_version_are_read_and_replaced(files: PredictionFiles, folder: Path) -> None:
    folder.mkdir()
    (folder / "0.previous.npz").write_bytes(encode_trial(3, LOGITS, 77))
    (folder / "0.npz").write_bytes(encode_trial(5, LOGITS, 77))
    assert epochs(files, 0) == [5, 3]
    assert files.begin(0, 4) == Held(frozenset(), has_best=True)
    files.write(0, best(6))
    files.finish(0)
    assert epochs(files, 0) == [6]
    assert list(files.read_epochs(0)) == []


def test_the_digest_tells_other_labels_and_other_folds_apart() -> None:
    digests = {targets_digest(LABELS, FOLDS), targets_digest(FOLDS, LABELS), targets_digest(LABELS, 0 * FOLDS)}
    assert len(digests) == 3
    assert targets_digest(LABELS.astype(np.int32), FOLDS) in digests


def test_no_file_holds_no_arrays(files: PredictionFiles) -> None:
    assert list(files.read(0)) == []
    assert files.read_targets() is None
    assert decode(None) == decode(b"PK") == {}


def test_several_workers_may_write_the_targets_at_once(files: PredictionFiles, folder: Path) -> None:
    content = encode_targets(np.arange(20_000), np.zeros(20_000, np.int64))
    threads = [threading.Thread(target=files.write_targets, args=(content,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in folder.iterdir()] == ["targets.npz"]
    assert files.read_targets() == content


def test_what_a_kill_left_half_written_is_completed_or_deleted(files: PredictionFiles, folder: Path) -> None:
    files.recover()  # no folder yet
    folder.mkdir()
    (folder / "0.npz").write_bytes(b"whole")
    (folder / ".0.npz.tmp").write_bytes(b"hal")
    (folder / ".1.npz.tmp").write_bytes(b"whole too")  # the old one was deleted just before the kill
    (folder / ".targets.npz.1234.tmp").write_bytes(b"hal")
    files.recover()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"0.npz": b"whole", "1.npz": b"whole too"}


def test_only_the_predictions_of_a_discarded_trial_are_deleted(files: PredictionFiles, folder: Path) -> None:
    for trial in (1, 11):
        files.write(trial, best(1))
        files.finish(trial)
        files.write(trial, best(2))
        files.write_epoch(trial, record(2))
    for _ in range(2):
        files.discard(1)
    assert sorted(path.name for path in folder.iterdir()) == ["11.epochs", "11.npz", "11.training"]


def test_sent_predictions_are_written_by_the_one_who_receives_them(files: PredictionFiles) -> None:
    sent = SentPredictions()
    assert sent.begin(4, 9) == Held()
    sent.write_targets(b"targets")
    for epoch in (1, 2):
        sent.write_epoch(4, record(epoch))
        sent.write(4, best(epoch))
    receive(files, sent.taken_writes(), after=0)
    assert (epochs(files, 4), files.read_targets(), sent.taken_writes()) == ([2], b"targets", [])
    assert [each.epoch for each in files.read_epochs(4)] == [1, 2]


@pytest.mark.parametrize(
    ("stored", "sent", "after", "holds"),
    [
        (None, (1, 2), 4, 2),  # lost
        (3, (1, 2), 4, 3),  # those of the best epoch on record
        (3, (1, 2, 5), 4, 5),  # epoch 5 is new
        (5, (1, 2), 4, 2),  # epoch 5 was not recorded before a kill
        (None, (1,), 0, 1),
    ],
)
def test_what_is_trained_again_replaces_no_recorded_epoch_of_those_received(
    files: PredictionFiles, stored: int | None, sent: tuple[int, ...], after: int, holds: int
) -> None:
    if stored is not None:
        files.write(0, best(stored))
        for epoch in range(1, stored + 1):
            files.write_epoch(0, record(epoch))
    worker = SentPredictions()
    for epoch in sent:
        worker.write(0, best(epoch))
        worker.write_epoch(0, record(epoch, 0.5))
    receive(files, worker.taken_writes(), after=after)
    assert int(decode(newest(files, 0))["epoch"]) == holds
    again = {each.epoch for each in files.read_epochs(0) if each.losses[0] == 0.5}
    assert again == {epoch for epoch in sent if epoch > min(stored or 0, after)}


def test_a_folder_that_cannot_be_written_is_the_fault_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "predictions").write_text("a file")
    files = PredictionFiles(tmp_path / "predictions")
    with pytest.raises(MachineError, match="the file of predictions cannot be written or read"):
        files.write(0, best(1))
    with pytest.raises(MachineError, match="the file of predictions cannot be written or read"):
        files.write_epoch(0, record(1))
    with pytest.raises(MachineError, match="the file of predictions cannot be written or read"):
        files.write_targets(b"new")


def test_the_groups_of_the_images_stand_beside_their_labels_if_there_are_any() -> None:
    labels, folds, groups = np.arange(3), np.zeros(3, np.int64), np.array([4, 4, 5])
    assert decode(encode_targets(labels, folds, groups))["groups"].tolist() == [4, 4, 5]
    assert set(decode(encode_targets(labels, folds))) == {"labels", "folds"}
