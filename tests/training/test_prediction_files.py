"""Tests of the files of validation predictions."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from hpo.errors import MachineError
from hpo.training.prediction_files import (
    PredictionFiles,
    SentPredictions,
    decode,
    encode_targets,
    encode_trial,
    receive,
    targets_digest,
)

LABELS, FOLDS = np.array([0, 1, 1]), np.array([0, 0, 1])
LOGITS = np.array([[0, -1], [-2, 0], [-3, 0]], np.float16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "predictions"


@pytest.fixture
def files(folder: Path) -> PredictionFiles:
    return PredictionFiles(folder)


def newest(files: PredictionFiles, trial: int) -> bytes:
    return next(files.read(trial))


def epochs(files: PredictionFiles, trial: int) -> list[int]:
    """The epochs of the files of a trial, the newest first."""
    return [int(decode(content)["epoch"]) for content in files.read(trial)]


def test_files_hold_what_was_encoded(files: PredictionFiles) -> None:
    files.write(3, encode_trial(5, LOGITS, 77))
    files.write_targets(encode_targets(LABELS, FOLDS))
    trial, targets = decode(newest(files, 3)), decode(files.read_targets())
    assert (int(trial["epoch"]), int(trial["targets"]), trial["logits"].tolist()) == (5, 77, LOGITS.tolist())
    assert trial["logits"].dtype == np.float16
    assert (targets["labels"].tolist(), targets["folds"].tolist()) == (LABELS.tolist(), FOLDS.tolist())


def test_equal_arrays_give_equal_bytes_and_a_later_epoch_keeps_the_one_before(files: PredictionFiles) -> None:
    assert encode_trial(5, LOGITS, 77) == encode_trial(5, LOGITS.copy(), 77)
    files.write(3, encode_trial(5, LOGITS, 77))
    files.write(3, encode_trial(6, LOGITS, 77))
    assert epochs(files, 3) == [6, 5]


def test_an_epoch_written_again_replaces_only_itself(files: PredictionFiles, folder: Path) -> None:
    for epoch in (3, 5, 5):
        files.write(0, encode_trial(epoch, LOGITS, 77))
    assert epochs(files, 0) == [5, 3]
    (folder / "0.npz").write_bytes(b"damaged")
    files.write(0, encode_trial(5, LOGITS, 77))
    assert epochs(files, 0) == [5, 3]
    files.write(0, encode_trial(8, LOGITS, 77))
    assert epochs(files, 0) == [8, 5]


def test_without_its_previous_predictions_a_trial_keeps_the_newest(files: PredictionFiles, folder: Path) -> None:
    for trial, epoch in [(1, 1), (1, 2), (11, 1), (11, 2)]:
        files.write(trial, encode_trial(epoch, LOGITS, 77))
    for _ in range(2):
        files.discard_previous(1)
    assert (epochs(files, 1), epochs(files, 11)) == ([2], [2, 1])
    files.discard(11)
    assert [path.name for path in folder.iterdir()] == ["1.npz"]


def test_what_a_kill_left_between_the_two_renames_is_completed(files: PredictionFiles, folder: Path) -> None:
    files.write(0, encode_trial(3, LOGITS, 77))
    (folder / "0.npz").rename(folder / "0.previous.npz")
    (folder / ".0.npz.tmp").write_bytes(encode_trial(5, LOGITS, 77))
    files.recover()
    assert epochs(files, 0) == [5, 3]


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


def test_what_killed_workers_left_is_completed_or_deleted(files: PredictionFiles, folder: Path) -> None:
    files.recover()  # no folder yet
    files.write(0, b"whole")
    (folder / ".0.npz.tmp").write_bytes(b"hal")
    (folder / ".1.npz.tmp").write_bytes(b"whole too")  # the old one was deleted just before the kill
    (folder / ".targets.npz.1234.tmp").write_bytes(b"hal")
    files.recover()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"0.npz": b"whole", "1.npz": b"whole too"}


def test_only_the_predictions_of_a_discarded_trial_are_deleted(files: PredictionFiles) -> None:
    for trial in (1, 11):
        files.write(trial, b"content")
    for _ in range(2):
        files.discard(1)
    assert (list(files.read(1)), list(files.read(11))) == ([], [b"content"])


def test_sent_predictions_are_written_by_the_one_who_receives_them(files: PredictionFiles) -> None:
    sent = SentPredictions()
    sent.write_targets(b"targets")
    sent.write(4, b"logits")
    receive(files, sent.taken_writes(), after=0)
    assert (newest(files, 4), files.read_targets(), sent.taken_writes()) == (b"logits", b"targets", [])


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
        files.write(0, encode_trial(stored, LOGITS, 77))
    worker = SentPredictions()
    for epoch in sent:
        worker.write(0, encode_trial(epoch, LOGITS, 77))
    receive(files, worker.taken_writes(), after=after)
    assert int(decode(newest(files, 0))["epoch"]) == holds


def test_a_folder_that_cannot_be_written_is_the_fault_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "predictions").write_text("a file")
    files = PredictionFiles(tmp_path / "predictions")
    with pytest.raises(MachineError, match="the file of predictions cannot be written or read"):
        files.write(0, b"")
    with pytest.raises(MachineError, match="the file of predictions cannot be written or read"):
        files.write_targets(b"new")
