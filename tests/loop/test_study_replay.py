from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import StudyError, UnknownName, UserError
from hpo.loop import begin, replay_study
from hpo.record import Budget, StudyFolder, lock
from hpo.results.best_so_far import BestSoFar
from hpo.results.study_replay import Outcome
from hpo.space import Categorical, SearchSpace
from hpo.trial import Report, Suggestion
from tests import toy
from tests.loop.searching import INLINE

HALVING = {"sampler": "random", "pruner": "sha"}


def search(folder: Path, backend: str = "random", trials: int = 8, **settings: object) -> StudyFolder:
    """A finished study of the toy."""
    space = settings.pop("space", toy.space())
    assert isinstance(space, SearchSpace)
    begin(folder, space, replace(INLINE, backend=backend, **settings), Budget(trials=trials))  # type: ignore[arg-type]
    return StudyFolder.reopen(folder)


def values(folder: Path) -> set[float]:
    """The values of the objective on record."""
    history, _ = StudyFolder.reopen(folder).history()
    return {history.objective_of(report) for trial in history.trials.values() for report in trial.reports}


def test_the_backend_and_seed_of_a_study_replay_it_exactly(tmp_path: Path) -> None:
    study = search(tmp_path / "s", seed=2)
    found = replay_study(study.folder, "random", seeds=3)
    assert found.searches[2].epochs_to_best == found.recorded.epochs_to_best
    assert found.searches[2].epochs_to_near == found.recorded.epochs_to_near


@pytest.mark.parametrize("backend", ["random", "optuna"])
def test_a_replay_reports_only_values_on_record_and_never_more_epochs(tmp_path: Path, backend: str) -> None:
    study = search(tmp_path / "s", "optuna", options=HALVING)
    found = replay_study(study.folder, backend, seeds=3, slots=2)
    assert len(found.searches) == 3
    for each in found.searches:
        assert each.best in values(study.folder)
        assert each.best >= found.best
        assert each.epochs <= found.recorded.epochs
        assert each.trials <= found.recorded.trials
        assert (each.epochs_to_best is None) == (each.best > found.best)
        assert each.epochs_to_best in (None, each.epochs)  # the search ends there


def test_a_backend_that_stops_nothing_reaches_the_best_value_with_every_seed(tmp_path: Path) -> None:
    study = search(tmp_path / "s", "optuna", options=HALVING)
    found = replay_study(study.folder, "random", seeds=10)
    for each in found.searches:
        assert each.epochs_to_best is not None
        assert each.epochs_to_near is not None
        assert each.epochs_to_near <= each.epochs_to_best <= found.recorded.epochs


def test_the_first_figures_are_those_of_the_study_as_it_was_run(tmp_path: Path) -> None:
    study = search(tmp_path / "s")
    curve = BestSoFar(study.history()[0])
    found = replay_study(study.folder, "random", seeds=1, epochs=20)
    assert found.recorded == Outcome.of(curve, curve.best, 20, trials=8)
    assert found.recorded.best == curve.after(20)
    assert found.searches[0].epochs <= 20
    assert (found.limit, found.epochs) == (20, 20)
    assert replay_study(study.folder, "random", seeds=1).limit is None


def test_a_limit_that_is_not_below_the_epochs_of_the_study_is_reported_too(tmp_path: Path) -> None:
    study = search(tmp_path / "s")
    n_epochs = study.history()[0].n_epochs
    for epochs in (n_epochs, n_epochs + 1):
        found = replay_study(study.folder, "random", seeds=1, epochs=epochs)
        assert (found.limit, found.epochs) == (epochs, n_epochs)


def test_the_same_replay_has_the_same_figures(tmp_path: Path) -> None:
    study = search(tmp_path / "s")
    assert replay_study(study.folder, "optuna", seeds=2) == replay_study(study.folder, "optuna", seeds=2)


def test_curves_that_the_study_cut_short_are_counted(tmp_path: Path) -> None:
    study = search(tmp_path / "s", "optuna", options=HALVING)
    short = sum(trial.epoch < 9 for trial in study.history()[0].trials.values())
    found = replay_study(study.folder, "random", seeds=4)
    assert found.n_short == short > 0
    assert all(each.n_cut <= short for each in found.searches)
    assert any(each.n_cut > 0 for each in found.searches)


def test_crashed_trials_are_left_out_of_the_study_and_of_the_replay(tmp_path: Path) -> None:
    domains = {**toy.space().domains, "fault": Categorical(("none", "raise"))}
    study = search(tmp_path / "s", space=replace(toy.space(), domains=domains), max_crashes=9)
    history, _ = study.history()
    crashed = [trial for trial in history.trials.values() if trial.crash is not None]
    found = replay_study(study.folder, "random")
    assert (found.n_crashed, found.n_crashed_epochs) == (len(crashed), len(crashed))
    assert 0 < found.n_crashed < 8
    assert found.recorded.trials == 8 - found.n_crashed
    assert found.recorded.epochs == history.n_epochs - len(crashed)


def test_a_replay_changes_nothing_in_the_folder_of_the_study(tmp_path: Path) -> None:
    def contents() -> dict[str, tuple[int, bytes]]:
        files = [path for path in (tmp_path / "s").rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    study = search(tmp_path / "s")
    before = contents()
    replay_study(study.folder, "random")
    assert contents() == before


def test_a_study_that_is_searched_is_replayed_as_far_as_it_is_on_record(tmp_path: Path) -> None:
    study = search(tmp_path / "s")
    journal = study.folder / "ledger.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) * 2 // 3]) + lines[-1][:20])  # the last line is half written
    with lock(study.folder):
        found = replay_study(study.folder, "random")
    assert found.is_searched
    assert 2 <= found.recorded.trials < 8
    assert all(each.epochs_to_best is not None for each in found.searches)


def test_a_replay_imports_no_torch(tmp_path: Path) -> None:
    study = search(tmp_path / "s", trials=3)
    script = (
        "import sys; from pathlib import Path; from hpo.loop import replay_study; "
        f"replay_study(Path({str(study.folder)!r}), 'random').table(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_study_with_too_few_trials_says_how_many_are_needed(tmp_path: Path) -> None:
    study = search(tmp_path / "s", trials=1)
    with pytest.raises(StudyError, match="has 1 trial with an epoch and without a crash: a replay needs at least 2"):
        replay_study(study.folder, "random")


def test_a_study_without_a_complete_trial_says_that_one_is_needed(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    ledger = StudyFolder(tmp_path / "s", toy.space(), INLINE, Budget()).begin()
    for trial in range(2):
        ledger.suggest(Suggestion(trial, {"kind": "b", "x": 0.5}, until=3))
        ledger.record(Report(trial, 1, 0.5, {"val_loss": 0.5}, 1.0))
    ledger.close()
    with pytest.raises(StudyError, match="has no complete trial: a replay needs at least 1 that was trained for 9"):
        replay_study(tmp_path / "s", "random")


def test_a_study_without_a_finite_loss_cannot_be_replayed(tmp_path: Path) -> None:
    study = search(tmp_path / "s", trials=3, space=toy.space(fault="nan_at_once"))
    with pytest.raises(StudyError, match="no trial with a finite loss"):
        replay_study(study.folder, "random")


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    study = search(tmp_path / "s", trials=2)
    with pytest.raises(UnknownName, match="did you mean 'bohb'"):
        replay_study(study.folder, "bobh")
    with pytest.raises(UnknownName, match="did you mean 'sampler'"):
        replay_study(study.folder, "optuna", options={"samplr": "gp"})
    with pytest.raises(UserError, match="points"):
        replay_study(study.folder, "grid")
    for name in ("seeds", "slots", "epochs"):
        with pytest.raises(UserError, match=f"{name} must be a whole number of at least 1, but is 0"):
            replay_study(study.folder, "random", **{name: 0})  # type: ignore[arg-type]
