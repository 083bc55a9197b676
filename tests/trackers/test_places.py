"""What `check` of each tracker refuses before a search begins, and the paths that a study records."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.trackers import check, recorded_targets

WRONG = {
    "tensorboard=/proc/x": "tracker tensorboard: the folder /proc/x cannot be written: No such file or directory",
    "tensorboard=file/x": "tracker tensorboard: the folder file/x cannot be written: Not a directory",
    "tensorboard=a\0b": "cannot be written: embedded null byte",
    "mlflow=http://[::1": "tracker mlflow: http://[::1 is no URL: Invalid IPv6 URL",
    "mlflow=http://host:99999": "Port out of range 0-65535",
    "mlflow=http://": "tracker mlflow: http:// names no host",
    "mlflow=htp://host": "did you mean 'http'?",
    "mlflow=sqlite:////proc/x/y.db": "tracker mlflow: the folder /proc/x cannot be written",
    "mlflow=runs": "MLflow keeps no runs in folders, unless $MLFLOW_ALLOW_FILE_STORE is true; write mlflow=sqlite:////",
    "mlflow=file:runs": "MLflow keeps no runs in folders",
    "wandb=a/b/c": "tracker wandb=a/b/c: write wandb=PROJECT or wandb=ENTITY/PROJECT",
    "wandb=a/": "write wandb=PROJECT or wandb=ENTITY/PROJECT",
    "wandb=/b": "write wandb=PROJECT or wandb=ENTITY/PROJECT",
    "wandb=what?": "tracker wandb=what?: the name of a project has no ?",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, but for the file `file`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_place_is_refused_in_one_line_and_nothing_is_written(text: str, here: Path) -> None:
    with pytest.raises(UserError) as raised:
        check(text)
    assert WRONG[text] in str(raised.value)
    assert "\n" not in str(raised.value)
    assert [path.name for path in here.iterdir()] == ["file"]


def test_recorded_paths_are_absolute_for_every_kind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recorded_targets(["tensorboard=a/b"]) == (f"tensorboard={here}/a/b",)
    assert recorded_targets(["mlflow=sqlite:///a/b.db"]) == (f"mlflow=sqlite:///{here}/a/b.db",)
    assert recorded_targets(["mlflow=sqlite:////tmp/b.db"]) == ("mlflow=sqlite:////tmp/b.db",)
    for same in ("mlflow=http://127.0.0.1:5000", "mlflow=databricks", "mlflow=postgresql+psycopg://h/d", "wandb=a/b"):
        assert recorded_targets([same]) == (same,)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert recorded_targets(["mlflow=file:runs"]) == (f"mlflow={here}/runs",)
    assert [path.name for path in here.iterdir()] == ["file"]


def test_each_tracker_sends_to_one_place_and_none_stands_for_no_tracker() -> None:
    assert recorded_targets(["wandb", "mlflow", "wandb"]) == ("wandb", "mlflow")
    assert recorded_targets(["none"]) == ()
    with pytest.raises(UserError, match="tracker wandb is given twice, as wandb and wandb=p"):
        recorded_targets(["wandb", "wandb=p"])
    with pytest.raises(UserError, match="none stands for no tracker, so leave the others out"):
        recorded_targets(["none", "wandb"])
