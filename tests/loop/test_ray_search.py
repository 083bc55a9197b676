"""Each backend on the runner `ray`, on a cluster of two nodes: real images, from the search to a resume."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.ray_nodes import Nodes
from hpo.cli.app import app
from hpo.record import State, StudyFolder
from tests.loop.searching import check_sound, history

ROOT = Path(__file__).parents[2]
BACKENDS = ["optuna", "asha", "bohb", "freeze_thaw", "random", "grid"]

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def hpo(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_search_trains_on_both_nodes_and_goes_on_with_the_recorded_options(
    backend: str, nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--space", "digits_softmax", "--backend", backend, "--study", "s", "--set", "fidelity.high=3"]
    hpo("search", *words, "--trials", "4", "--runner", "ray", "--ray-address", nodes.address, "--resources", "cpu=1")
    folder = tmp_path / "studies" / "s"
    options = {"address": nodes.address, "resources": "cpu=1"}
    assert StudyFolder.reopen(folder).settings.runner_options == options
    hpo("resume", "s", "--trials", "6")
    recorded = history(folder)
    check_sound(recorded)
    assert recorded.n_trials == 6
    assert not recorded.crashed
    assert any(trial.state is State.COMPLETE for trial in recorded.trials.values())
    hpo("resume", "s", "--trials", "7", "--runner", "inline")
    check_sound(history(folder))
    kept = {path.name for path in (folder / "checkpoints").iterdir()}
    assert all(name.endswith(".pt") for name in kept)
    for trial in history(folder).trials.values():
        assert (f"{trial.number}.best.pt" in kept) or trial.state is not State.COMPLETE
        assert not any(name.startswith(f"{trial.number}.") for name in kept) or trial.state is not State.STOPPED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resources", "cpu=64"], "no node of the Ray cluster offers a slot cpu=64"),
        (["--resources", "tpu=1"], "unknown resource in --resources of the Ray cluster: 'tpu'"),
        (["--resources", "gup=1"], "'gup'; did you mean 'gpu'?"),
        (["--checkpoints", "/etc/hostname/x"], "--checkpoints /etc/hostname/x: this machine cannot write there"),
    ],
)
def test_a_wrong_option_is_an_error_and_leaves_no_study(
    options: list[str], message: str, nodes: Nodes, tmp_path: Path
) -> None:
    words = ["--space", "digits_softmax", "--study", "s", "--studies", str(tmp_path / "studies"), "--trials", "1"]
    shown = hpo("search", *words, "--runner", "ray", "--ray-address", nodes.address, *options, status=2)
    assert message in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "studies" / "s" / "study.yaml").exists()


def test_killed_actors_nodes_and_searches_lose_nothing() -> None:
    command = [sys.executable, "benchmarks/kill_ray.py", "--kills", "6", "--seed", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "6 kills, 0 problems" in done.stdout
