"""Each backend on each runner: one space file, real images, from the search to the tested table."""

from __future__ import annotations

import re
from pathlib import Path

import optuna
import pandas as pd
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from hpo.cli.app import app
from hpo.record import State, StudyFolder

pytestmark = pytest.mark.slow

STATES = {State.COMPLETE: TrialState.COMPLETE, State.STOPPED: TrialState.PRUNED, State.PAUSED: TrialState.PRUNED}


def hpo(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("runner", ["inline", "processes", "fused"])
@pytest.mark.parametrize("backend", ["optuna", "asha", "bohb", "freeze_thaw", "random", "grid"])
def test_a_search_ends_in_a_tested_table(
    backend: str, runner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--space", "digits_softmax", "--backend", backend, "--trials", "12", "--study", "s"]
    hpo(
        "search",
        *words,
        "--runner",
        runner,
        "--devices",
        "cpu",
        "--set",
        "fidelity.high=9",
        "--set",
        "space.lr.low=1e-2",
    )
    folder = tmp_path / "studies" / "s"

    table = pd.read_csv(folder / "trials.csv")
    assert len(table) == (12 if backend != "grid" else len(table[["lr", "weight_decay"]].drop_duplicates()))
    assert list(table["loss"]) == sorted(table["loss"])
    assert (table["state"] == "complete").any()
    early = set(table.loc[table["state"] == "stopped", "epochs"])
    assert early <= ({3, 5, 8} if backend == "freeze_thaw" else {1, 3})
    assert bool(early) == (backend not in ("random", "grid"))

    ledger = StudyFolder.reopen(folder).ledger(write=False)
    ledger.close()
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "ledger.log")))
    shown = optuna.load_study(study_name="s", storage=storage)
    assert shown.metric_names == ["val_error"]
    for frozen, trial in zip(shown.trials, ledger.history.trials.values(), strict=True):
        assert frozen.state is STATES[trial.state]
        assert frozen.params == dict(trial.config)
        assert frozen.value == trial.loss
        assert list(frozen.intermediate_values) == [report.fidelity for report in trial.reports]

    accuracy = re.search(r"test accuracy (\d\.\d+)", hpo("test", "s"))
    assert accuracy is not None
    assert float(accuracy[1]) > 0.9
    assert "test_accuracy" in (folder / "best.csv").read_text()
