from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpo import spacefile
from hpo.backends import random as random_backend
from hpo.errors import ReplayError, StudyError, TooManyCrashes, UserError
from hpo.loop import Session, begin, resume
from hpo.record import Budget, Event, Ledger, State, StudyFolder, lock, versions
from hpo.space import Fidelity, SearchSpace
from hpo.space.domains import Categorical
from hpo.trial import Suggestion
from tests import toy
from tests.loop.searching import BACKENDS, INLINE, check_sound, history, timeless


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_search_spends_its_budget_and_leaves_a_study_behind(backend: str, tmp_path: Path) -> None:
    reason = begin(tmp_path / "s", toy.space(), replace(INLINE, backend=backend), Budget(trials=12))
    assert reason == "the budget of 12 trials is spent"
    seen = history(tmp_path / "s")
    check_sound(seen)
    assert len(seen.trials) == 12
    assert State.COMPLETE in {trial.state for trial in seen.trials.values()}
    assert {path.name for path in (tmp_path / "s").iterdir()} == {
        *(".gitignore", "study.yaml", "trials.csv", "best.csv", "ledger.log", "checkpoints", "lock")
    }
    assert len(pd.read_csv(tmp_path / "s" / "trials.csv")) == 12


def test_a_study_keeps_out_of_git_what_belongs_to_its_machine_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(), INLINE, Budget(trials=2))
    written = (tmp_path / "s" / ".gitignore").read_text().split()
    assert {f"/{path.name}" for path in (tmp_path / "s").iterdir()} - set(written) == {
        *("/.gitignore", "/study.yaml", "/trials.csv", "/best.csv")
    }
    (tmp_path / "s" / ".gitignore").unlink()  # of an older study
    resume(tmp_path / "s", Budget(trials=3))
    assert (tmp_path / "s" / ".gitignore").read_text().split() == written
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / ".gitignore").write_text("secret\n")
    begin(tmp_path / "own", toy.space(), INLINE, Budget(trials=2))
    assert (tmp_path / "own" / ".gitignore").read_text() == "secret\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_searches_with_one_seed_are_equal_event_for_event(backend: str, tmp_path: Path) -> None:
    for name in "ab":
        begin(tmp_path / name, toy.space(), replace(INLINE, backend=backend), Budget(trials=10))
    assert timeless(history(tmp_path / "a").events) == timeless(history(tmp_path / "b").events)


def test_the_epochs_of_a_study_never_exceed_its_budget(tmp_path: Path) -> None:
    reason = begin(tmp_path / "s", toy.space(), replace(INLINE, backend="asha"), Budget(epochs=17))
    assert reason == "the budget of 17 epochs is spent"
    assert history(tmp_path / "s").n_epochs == 17


def test_a_budget_of_no_time_ends_a_study_where_it_is(tmp_path: Path) -> None:
    def interrupt(event: Event, ledger: Ledger) -> None:
        if ledger.history.n_epochs == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin(
            tmp_path / "s",
            toy.space(),
            replace(INLINE, backend="random"),
            Budget(epochs=9),
            session=Session(watch=interrupt),
        )
    for _ in range(2):
        assert resume(tmp_path / "s", Budget(seconds=0)) == "the budget of 0s is spent"
    assert history(tmp_path / "s").n_epochs == 3


def test_a_finished_study_in_which_nothing_more_is_searched_keeps_the_reason_of_its_end(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random"), Budget(epochs=3))
    assert resume(tmp_path / "s", Budget(seconds=0)) == "the budget of 3 epochs is spent"
    assert StudyFolder.reopen(tmp_path / "s").history()[1] == "the budget of 3 epochs is spent"
    assert resume(tmp_path / "s", Budget(epochs=5)) == "the budget of 5 epochs is spent"


@pytest.mark.parametrize(
    ("budget", "name"),
    [(Budget(trials=0), "trials"), (Budget(epochs=0), "epochs"), (Budget(trials=3, seconds=0), "time")],
)
def test_a_new_search_needs_a_budget_above_zero(budget: Budget, name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{name} must be more than 0 for a new search, but is 0$"):
        begin(tmp_path / "s", toy.space(), INLINE, budget)
    assert not (tmp_path / "s").exists()


def test_a_grid_ends_when_every_configuration_is_trained(tmp_path: Path) -> None:
    space = SearchSpace("g", {"x": Categorical((0.1, 0.5))}, Fidelity(2), toy.space().task)
    reason = begin(tmp_path / "s", space, replace(INLINE, backend="grid"), Budget(trials=50))
    assert reason == "every configuration is trained"
    assert len(history(tmp_path / "s").trials) == 2


def test_crashes_count_as_worst_and_the_study_goes_on(tmp_path: Path) -> None:
    domains = {**toy.space().domains, "fault": Categorical(("none", "raise", "nan"))}
    space = replace(toy.space(), domains=domains)
    begin(tmp_path / "s", space, replace(INLINE, backend="bohb"), Budget(trials=15))
    states = {trial.config["fault"]: trial.state for trial in history(tmp_path / "s").trials.values()}
    assert states["raise"] is State.CRASHED
    assert len(history(tmp_path / "s").trials) == 15


def test_a_study_whose_first_trials_all_crash_stops_and_shows_the_first_error(tmp_path: Path) -> None:
    with pytest.raises(TooManyCrashes, match=r"the first 3 trials crashed; trial 0 first, with ValueError: the toy"):
        begin(tmp_path / "s", toy.space(fault="raise_at_once"), replace(INLINE, backend="random"), Budget(trials=9))
    assert history(tmp_path / "s").n_crashes == 3


def test_five_crashes_in_a_row_stop_a_study(tmp_path: Path) -> None:
    domains = {**toy.space().domains, "fault": Categorical(("raise_at_once", "none"))}
    space = replace(toy.space(), domains=domains)
    seed = next(seed for seed in range(1000) if _first_faults(space, seed, 6) == ["none", *["raise_at_once"] * 5])
    with pytest.raises(TooManyCrashes, match="5 trials in a row crashed; trial 1 first"):
        begin(tmp_path / "t", space, replace(INLINE, backend="random", seed=seed), Budget(trials=9))


def _first_faults(space: SearchSpace, seed: int, n_trials: int) -> list[Any]:
    backend = random_backend.build(space, seed=seed)
    asked = [backend.ask() for _ in range(n_trials)]
    return [answer.config["fault"] for answer in asked if isinstance(answer, Suggestion)]


def test_a_study_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random"), Budget(trials=1))
    before = (tmp_path / "s" / "ledger.log").read_bytes()
    with pytest.raises(StudyError, match="hpo resume s"):
        begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random"), Budget(trials=1))
    with pytest.raises(StudyError, match="another seed"):
        begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random", seed=9), Budget(trials=1))
    assert (tmp_path / "s" / "ledger.log").read_bytes() == before


def test_a_study_whose_space_was_changed_by_hand_is_not_resumed(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random"), Budget(trials=1))
    path = tmp_path / "s" / "study.yaml"
    path.write_text(path.read_text().replace("high: 9", "high: 8"))
    with pytest.raises(StudyError, match="its space changed since it was begun"):
        resume(tmp_path / "s", Budget(trials=2))


def tamper(journal: Path) -> None:
    """Put another value into the second suggestion."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    created = [line for line in lines if line["op_code"] == 4]
    created[1]["user_attrs"]["suggestion:9"]["config"]["x"] = 0.123
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_record_that_the_backend_no_longer_follows_is_an_error_that_says_so(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random"), Budget(trials=2))
    tamper(tmp_path / "s" / "ledger.log")
    with pytest.raises(ReplayError, match=r"the record has .*0\.123.* but the backend now answers"):
        resume(tmp_path / "s", Budget(trials=3))


def test_a_locked_study_is_not_searched_by_a_second_process(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random"), Budget(trials=1))
    with lock(tmp_path / "s"), pytest.raises(StudyError, match="is being searched or tested by another process"):
        resume(tmp_path / "s")


def test_an_unknown_backend_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'bohb'"):
        begin(tmp_path / "s", toy.space(), replace(INLINE, backend="bobh"), Budget(trials=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_a_study_whose_record_is_gone_is_not_silently_begun_again(tmp_path: Path, storage: str | None) -> None:
    """As in a fresh clone, where the tables are, but not the ledger."""
    url = f"sqlite:///{tmp_path}/b.db" if storage else None
    begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random", storage=url), Budget(trials=2))
    (tmp_path / ("b.db" if storage else "s/ledger.log")).unlink()
    before = (tmp_path / "s" / "trials.csv").read_text()
    with pytest.raises(StudyError, match=r"the record of study 's' is not here"):
        resume(tmp_path / "s", Budget(trials=3))
    assert (tmp_path / "s" / "trials.csv").read_text() == before


def test_two_studies_of_one_name_do_not_share_a_storage(tmp_path: Path) -> None:
    settings = replace(INLINE, backend="random", storage=f"sqlite:///{tmp_path}/b.db")
    begin(tmp_path / "here" / "s", toy.space(), settings, Budget(trials=1))
    with pytest.raises(StudyError, match="holds a study 's' already"):
        begin(tmp_path / "there" / "s", toy.space(), settings, Budget(trials=1))
    assert not (tmp_path / "there").exists()


def test_a_kill_between_record_and_deletion_leaves_no_checkpoint_for_good(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(), replace(INLINE, backend="asha"), Budget(trials=12))
    trials = history(tmp_path / "s").trials.values()
    stopped = next(trial.number for trial in trials if trial.state is State.STOPPED)
    complete = next(trial.number for trial in trials if trial.state is State.COMPLETE)
    for number in (stopped, complete):
        (tmp_path / "s" / "checkpoints" / f"{number}.pt").write_bytes(b"left behind")
    resume(tmp_path / "s")
    left = {path.name for path in (tmp_path / "s" / "checkpoints").iterdir()}
    assert not left & {f"{stopped}.pt", f"{complete}.pt"}
    assert f"{complete}.best.pt" in left


def test_choices_that_python_takes_for_equal_are_kept_apart_on_record(tmp_path: Path) -> None:
    domains = {**toy.space().domains, "flag": Categorical((1, True, None, "1"))}
    begin(tmp_path / "s", replace(toy.space(high=1), domains=domains), INLINE, Budget(trials=20))
    seen = {repr(trial.config["flag"]) for trial in history(tmp_path / "s").trials.values()}
    assert seen == {"1", "True", "None", "'1'"}


def test_a_resume_keeps_when_and_with_what_a_study_was_begun(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random"), Budget(trials=1))
    path = tmp_path / "s" / "study.yaml"
    path.write_text(path.read_text().replace("optuna: ", "optuna: 4.9.9 # "))
    made, lines = StudyFolder.reopen(tmp_path / "s").made, list[str]()
    resume(tmp_path / "s", Budget(trials=2), session=Session(notify=lines.append))
    (line,) = (line for line in lines if line.startswith("packages have changed since the study was begun"))
    assert line.endswith(f"optuna 4.9.9, now {versions()['optuna']}")
    assert StudyFolder.reopen(tmp_path / "s").made == made
    assert made["versions"]["optuna"] == "4.9.9"


def test_a_resume_that_fails_leaves_the_budget_as_it_was(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(), replace(INLINE, backend="random"), Budget(trials=2))
    tamper(tmp_path / "s" / "ledger.log")
    with pytest.raises(ReplayError):
        resume(tmp_path / "s", Budget(trials=3))
    assert StudyFolder.reopen(tmp_path / "s").budget == Budget(trials=2)


def test_a_sqlite_storage_holds_the_same_record_and_resumes(tmp_path: Path) -> None:
    settings = replace(INLINE, backend="bohb")
    begin(tmp_path / "a", toy.space(high=4), settings, Budget(trials=8))
    begin(tmp_path / "b", toy.space(high=4), replace(settings, storage=f"sqlite:///{tmp_path}/b.db"), Budget(trials=3))
    resume(tmp_path / "b", Budget(trials=8))
    assert timeless(history(tmp_path / "b").events) == timeless(history(tmp_path / "a").events)
    assert not (tmp_path / "b" / "ledger.log").exists()


def test_the_runner_on_record_is_the_one_that_auto_stood_for(tmp_path: Path) -> None:
    heads = spacefile.read(spacefile.find("digits_softmax"))
    for name, space, runner in (("toy", toy.space(), "processes"), ("heads", heads, "fused")):
        begin(tmp_path / name, space, replace(INLINE, runner="auto"), Budget(seconds=1e-9))
        assert StudyFolder.reopen(tmp_path / name).settings.runner == runner
