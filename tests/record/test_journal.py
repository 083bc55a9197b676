from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.errors import MachineError
from hpo.record.journal import FastJournalStorage, Journal

LOGS = st.lists(st.fixed_dictionaries({"op_code": st.integers(0, 9), "text": st.text()}), max_size=20)


@given(logs=LOGS, torn=st.binary(max_size=30).filter(lambda data: b"\n" not in data))
@settings(deadline=None, max_examples=50)
def test_a_torn_last_line_is_cut_off_and_the_rest_is_read(
    tmp_path_factory: pytest.TempPathFactory, logs: list[dict[str, Any]], torn: bytes
) -> None:
    path = tmp_path_factory.mktemp("journal") / "ledger.log"
    journal = Journal(path, write=True)
    journal.append_logs(logs)
    journal.close()
    with path.open("ab") as file:
        file.write(torn)
    reopened = Journal(path, write=True)
    assert list(reopened.read_logs(0)) == logs
    reopened.append_logs([{"op_code": 1}])
    assert list(reopened.read_logs(len(logs))) == [{"op_code": 1}]
    reopened.close()


def test_a_reader_leaves_the_torn_line_of_a_living_writer_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(b'{"op_code":1}\n{"op_co')
    reader = Journal(path, write=False)
    assert list(reader.read_logs(0)) == [{"op_code": 1}]
    with path.open("ab") as file:
        file.write(b'de":2}\n')
    assert list(reader.read_logs(1)) == [{"op_code": 2}]
    assert path.read_bytes().endswith(b"\n")
    reader.close()


def test_lines_of_another_writer_are_read_between_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    journal = Journal(path, write=True)
    journal.append_logs([{"op_code": 1}])
    with path.open("ab") as file:
        file.write(b'{"op_code":2}\n')
    journal.append_logs([{"op_code": 3}])
    assert [log["op_code"] for log in journal.read_logs(0)] == [1, 2, 3]
    journal.close()


def test_a_line_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(b'{"op_code":1}\n{"op_c\x00\x00\n{"op_code":2}\n')
    with pytest.raises(MachineError, match=r"ledger\.log:2: .* damaged"):
        list(Journal(path, write=True).read_logs(0))


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    """/dev/full takes nothing; a limit on the file's size stops a write half-way, as a full disk does."""
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    path = tmp_path / "ledger.log"
    journal = Journal(path, write=True)
    journal.append_logs([{"op_code": 1, "text": "x" * 100}])
    size = path.stat().st_size
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, before[1]))
    try:
        with pytest.raises(OSError, match=r"large|space"):
            journal.append_logs([{"op_code": 2, "text": "y" * 100}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.stat().st_size == size
    journal.append_logs([{"op_code": 3}])
    assert [log["op_code"] for log in journal.read_logs(0)] == [1, 3]
    journal.close()


def test_optunas_own_reader_sees_the_same_study(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    journal = Journal(path, write=True)
    storage = FastJournalStorage(journal)
    study = optuna.create_study(storage=storage, study_name="s")
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    for epoch in (1, 2, 3):
        trial.report(0.5 / epoch, epoch)
        trial.set_user_attr(f"epoch {epoch}", {"loss": 0.5})
        trial.set_user_attr("last", epoch)
    study.tell(trial, 0.25)
    theirs = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(os.fspath(path)))
    seen = optuna.load_study(storage=theirs, study_name="s").trials
    assert seen == study.trials
    journal.close()


def test_a_trial_that_was_read_never_changes(tmp_path: Path) -> None:
    storage, trial = storage_with_trial(tmp_path)
    storage.set_trial_intermediate_value(trial, 1, 0.5)
    alone, among_all = storage.get_trial(trial), storage.get_all_trials(0, deepcopy=False)[0]
    storage.set_trial_user_attr(trial, "a", 1)
    storage.set_trial_intermediate_value(trial, 2, 0.25)
    for read in (alone, among_all):
        assert (read.user_attrs, read.intermediate_values) == ({}, {1: 0.5})
    assert storage.get_trial(trial).user_attrs == {"a": 1}
    assert storage.get_trial(trial).intermediate_values == {1: 0.5, 2: 0.25}


def test_an_attribute_or_value_of_a_trial_does_not_copy_the_earlier_ones(tmp_path: Path) -> None:
    storage, trial = storage_with_trial(tmp_path)
    for epoch in range(2_000):
        storage.set_trial_user_attr(trial, str(epoch), epoch)
        storage.set_trial_intermediate_value(trial, epoch, 0.5)
    tracemalloc.start()
    try:
        storage.set_trial_user_attr(trial, "0", 1)
        storage.set_trial_intermediate_value(trial, 0, 0.25)
        assert tracemalloc.get_traced_memory()[1] < sys.getsizeof(storage.get_trial(trial).user_attrs) / 2
    finally:
        tracemalloc.stop()


def test_a_finished_trial_may_be_forgotten_and_stays_finished(tmp_path: Path) -> None:
    storage, trial = storage_with_trial(tmp_path)
    storage.set_trial_user_attr(trial, "key", "value" * 1000)
    storage.set_trial_state_values(trial, optuna.trial.TrialState.PRUNED, [1.0])
    storage.forget(trial)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial, "key", "other")
    other = storage.create_new_trial(storage.get_study_id_from_name("s"))
    assert storage.get_trial(other).number == 1
    again = FastJournalStorage(Journal(tmp_path / "ledger.log", write=False))
    assert again.get_trial(trial).user_attrs == {"key": "value" * 1000}


def test_a_long_file_is_read_in_blocks(tmp_path: Path) -> None:
    """Lines longer than a block, and blocks that end within a line."""
    logs = [{"op_code": n, "text": "x" * (n * n % 300)} for n in range(100)]
    journal = Journal(tmp_path / "ledger.log", write=True, block=64)
    journal.append_logs(logs)
    assert list(journal.read_logs(0)) == logs
    assert list(journal.read_logs(60)) == logs[60:]
    assert list(journal.read_logs(100)) == []


def storage_with_trial(folder: Path) -> tuple[FastJournalStorage, int]:
    storage = FastJournalStorage(Journal(folder / "ledger.log", write=True))
    return storage, storage.create_new_trial(storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s"))
