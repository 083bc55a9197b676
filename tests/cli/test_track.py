"""`--track` during a search, and `hpo track` afterwards."""

from __future__ import annotations

from pathlib import Path

import yaml

from hpo.trackers._lock import tracker_lock
from tests.cli.commands import SEARCH, Hpo
from tests.trackers.test_tensorboard import shown_in

KIND = "tests.trackers.file_tracker"
RUN = ("search", "--space", "toy.yaml", "--backend", "bohb", "--runner", "inline", "--study", "s", "--trials", 6)


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curve of each run below a folder of TensorBoard."""
    return {path.name: shown_in(path).curves["val_loss"] for path in (folder / "s").iterdir()}


def test_a_search_is_followed_its_resume_goes_on_and_track_adds_nothing(hpo: Hpo, tmp_path: Path) -> None:
    assert hpo(*RUN, "--track", "tensorboard=runs").exit_code == 0
    settings = yaml.safe_load((tmp_path / "studies" / "s" / "study.yaml").read_text())["settings"]
    assert settings["track"] == [f"tensorboard={tmp_path / 'runs'}"]
    assert hpo("resume", "s", "--trials", 12).exit_code == 0
    rows = hpo("export", "s", "--format", "csv").output.splitlines()[1:]
    shown = curves(tmp_path / "runs")
    assert shown.keys() == {f"trial {row.split(',')[0]}" for row in rows}
    assert all([epoch for epoch, _ in curve] == list(range(1, len(curve) + 1)) for curve in shown.values())
    assert max(len(curve) for curve in shown.values()) == 9
    states = {path.name: shown_in(path).state for path in (tmp_path / "runs" / "s").iterdir()}
    assert set(states.values()) == {"complete", "stopped"}
    result = hpo("track", "s", "--to", "tensorboard=runs", "--to", "tensorboard")
    assert result.exit_code == 0
    assert f"tensorboard: 12 trials are up to date in {tmp_path / 'runs'}" in result.output
    assert curves(tmp_path / "runs") == shown
    assert curves(tmp_path / "studies" / "s" / "tensorboard") == shown


def test_a_tracker_that_fails_costs_no_epoch_and_is_named_once(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    result = hpo(*RUN, "--track", f"{KIND}={tmp_path}")
    assert result.exit_code == 0
    assert result.output.count("no space left on the disk of the tracker") == 1
    assert "hpo track s --to" in result.output
    assert len(hpo("export", "s", "--format", "csv").output.splitlines()) == 7
    failed = hpo("track", "s", "--to", f"{KIND}={tmp_path}")
    assert failed.exit_code == 1
    assert "no space left on the disk of the tracker; the same command goes on" in failed.output
    (tmp_path / "fail").unlink()
    assert hpo("track", "s", "--to", f"{KIND}={tmp_path}").exit_code == 0
    assert {line.split()[0] for line in (tmp_path / "lines").read_text().splitlines()} >= set("012345")


def test_a_wrong_tracker_ends_the_search_before_anything_is_written(hpo: Hpo, tmp_path: Path) -> None:
    result = hpo(*SEARCH, "--track", "tensorbord")
    assert result.exit_code == 2
    assert "did you mean 'tensorboard'?" in result.output
    assert not (tmp_path / "studies").exists()


def test_a_resume_goes_on_without_a_tracker_that_is_not_installed_here(hpo: Hpo, tmp_path: Path) -> None:
    assert hpo(*RUN).exit_code == 0
    path = tmp_path / "studies" / "s" / "study.yaml"
    path.write_text(path.read_text().replace("track: []", "track: [tests.trackers.needy_tracker]"))
    result = hpo("resume", "s", "--trials", 7)
    assert result.exit_code == 0, result.output
    assert "needs no_such_package, which is not installed; the search does not need it" in result.output


def test_several_targets_are_tried_though_one_fails_and_one_trial_is_one(hpo: Hpo, tmp_path: Path) -> None:
    assert hpo(*RUN[:-1], 1).exit_code == 0
    (tmp_path / "fail").touch()
    result = hpo("track", "s", "--to", f"{KIND}={tmp_path}", "--to", "tensorboard")
    assert result.exit_code == 1
    assert "no space left on the disk of the tracker; the same command goes on" in result.output
    assert "tensorboard: 1 trial is up to date in" in result.output
    assert set(curves(tmp_path / "studies" / "s" / "tensorboard")) == {"trial 0"}


def test_a_tracker_that_another_process_feeds_is_refused_in_one_line(hpo: Hpo, tmp_path: Path) -> None:
    assert hpo(*RUN[:-1], 1).exit_code == 0
    with tracker_lock(tmp_path / "studies" / "s", "tensorboard", 60):
        result = hpo("track", "s", "--to", "tensorboard")
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert "tracker tensorboard: another process is sending the trials of study 's' to it" in line
    assert hpo("track", "s", "--to", "tensorboard").exit_code == 0


def test_a_wrong_place_ends_the_search_before_anything_is_written(hpo: Hpo, tmp_path: Path) -> None:
    for target in ("tensorboard=/proc/x", "wandb=a/b/c", "mlflow=http://[::1"):
        result = hpo(*SEARCH, "--track", target)
        assert result.exit_code == 2
        assert f"tracker {target.partition('=')[0]}" in result.output
        assert not (tmp_path / "studies").exists()
