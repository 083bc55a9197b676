from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from hpo.errors import StudyError, UserError
from hpo.record import Budget, Settings, StudyFolder, is_locked, lock
from hpo.study_names import LEDGER_FILE
from tests import toy


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    (tmp_path / "s").mkdir()
    study = StudyFolder(
        tmp_path / "s", toy.space(fault="none"), Settings("bohb", {"top_n_percent": 20}, 7), Budget(trials=9)
    )
    study.save()
    return study


def test_a_study_reopens_as_it_was_made(study: StudyFolder) -> None:
    again = StudyFolder.reopen(study.folder)
    assert again.space == study.space
    assert again.settings == study.settings
    assert again.budget == study.budget
    assert again.space.digest() == study.space.digest()


def test_study_yaml_says_with_what_and_when_it_was_made(study: StudyFolder) -> None:
    content = yaml.safe_load((study.folder / "study.yaml").read_text())
    assert content["made"]["versions"]["optuna"]
    assert content["made"]["at"].endswith("+00:00")
    assert content["digest"] == study.space.digest()


def test_a_missing_study_names_its_nearest_neighbour_that_has_a_record(study: StudyFolder) -> None:
    with pytest.raises(StudyError, match=r"no study 'ss' in [^;]*$"):
        StudyFolder.reopen(study.folder.parent / "ss")
    (study.folder / LEDGER_FILE).touch()
    with pytest.raises(StudyError, match=r"no study 'ss' in .*did you mean 's'"):
        StudyFolder.reopen(study.folder.parent / "ss")


@pytest.mark.parametrize("text", ["", "[]", "settings: 3", "study: s\nsettings: {}\nbudget: {}\n", "a: [", "\x00"])
def test_a_damaged_study_yaml_is_a_plain_error(study: StudyFolder, text: str) -> None:
    (study.folder / "study.yaml").write_text(text)
    with pytest.raises(StudyError, match=r"study\.yaml: is damaged"):
        StudyFolder.reopen(study.folder)


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(UserError, match="at least 0"):
        Budget(trials=-1)


def test_no_budget_at_all_means_64_trials() -> None:
    assert Budget().or_default() == Budget(trials=64)
    assert Budget(epochs=5).or_default() == Budget(epochs=5)


def test_a_lock_keeps_a_second_process_out_and_a_killed_one_lets_go(study: StudyFolder) -> None:
    script = (
        "import sys, time; from pathlib import Path; from hpo.record import lock\n"
        "with lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(study.folder)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StudyError, match="is being searched or tested by another process"), lock(study.folder):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with lock(study.folder):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_a_look_at_the_lock_at_the_same_moment_does_not_keep_a_search_out(study: StudyFolder) -> None:
    fcntl = pytest.importorskip("fcntl")
    with lock(study.folder):
        pass
    look = (study.folder / "lock").open("rb")
    fcntl.flock(look, fcntl.LOCK_SH)  # as `is_locked` does for a moment
    threading.Timer(0.05, look.close).start()
    with lock(study.folder):
        assert is_locked(study.folder)


def test_a_lock_that_came_to_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nothing came of it"), lock(tmp_path / "studies" / "s"):
        raise RuntimeError("nothing came of it")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_the_data_is_given_or_named_by_the_environment(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_DATA", "/somewhere")
    assert study.data == Path("/somewhere")
    study.settings = Settings(data="/elsewhere")
    assert study.data == Path("/elsewhere")
    monkeypatch.delenv("HPO_DATA")
    study.settings = Settings()
    assert study.data == Path("~/.cache/hpo").expanduser()
    study.settings = Settings(data="~nobody_of_this_name/data")
    assert study.data == Path.cwd() / "~nobody_of_this_name" / "data"


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        (Budget(), None),
        (Budget(trials=3, epochs=20, seconds=90.5), None),
        (Budget(seconds=0), None),
        (Budget(trials=0), "has spent 3 trials already, more than the 0 given"),
        (Budget(epochs=19), "has spent 20 epochs already, more than the 19 given"),
        (Budget(seconds=90.4), "has spent 90.5 seconds already, more than the 90.4 given"),
    ],
)
def test_a_budget_is_overspent_if_more_was_spent_and_never_if_it_ends_the_study_now(
    budget: Budget, problem: str | None
) -> None:
    found = budget.overspent(3, 20, 90.5)
    assert found is None if problem is None else problem in str(found)
