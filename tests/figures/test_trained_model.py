"""Figures of a trained model: which checkpoint of which trial they show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpo.errors import StudyError
from hpo.figures.plot import plot
from hpo.figures.trained_model import TrainedModel
from hpo.loop import begin
from hpo.record import Budget, Settings, State, StudyFolder
from hpo.space import Fidelity, SearchSpace, Task
from hpo.space.domains import Float
from tests.figures.sealed_digits import SPACE, Sealed, refused
from trainables.training import checkpoints


def test_without_checkpoints_there_is_no_trained_model(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    assert "no trained model here" in refused(folder, "filters")
    assert not (folder / "checkpoints").exists()


def test_a_trial_without_a_checkpoint_is_told_which_have_one(folder: Path) -> None:
    (folder / "checkpoints" / "2.best.pt").unlink()
    assert "trial 2 of study 's' has no checkpoint; these have: 0, 1, 3" in refused(folder, "filters", trials=[2])


def test_a_damaged_checkpoint_is_named(folder: Path) -> None:
    (folder / "checkpoints" / "1.best.pt").write_bytes(b"no checkpoint")
    assert "1.best.pt is damaged" in refused(folder, "filters", StudyError, trials=[1])


def test_a_paused_trial_is_shown_as_it_was_trained(tmp_path: Path) -> None:
    task = Task("from_scratch", "softmax_regression", dataset=SPACE.task.dataset)
    space = SearchSpace("paused", {"lr": Float(1e-3, 1e-1)}, Fidelity(9, low=1, eta=3), task)
    folder = tmp_path / "paused"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sealed, "sealed", False)  # for the check of the data before a search
        begin(folder, space, Settings(backend="bohb", runner="inline", devices="cpu"), Budget(epochs=5))
    study = StudyFolder.reopen(folder)
    history, _ = study.history()
    paused = next(trial for trial in history.trials.values() if trial.state is State.PAUSED)
    trained = TrainedModel(study, history, [paused.number])
    assert trained.epoch == paused.epoch
    saved = checkpoints.read(folder / "checkpoints" / f"{paused.number}.pt")
    assert saved is not None
    (weights,) = (each for each in saved["state"]["weights"].values() if each.ndim == 2)
    assert np.array_equal(trained.filters().ravel(), weights.numpy().ravel())
    assert plot(folder, "tsne", trials=[paused.number])[0].exists()


@pytest.mark.parametrize(
    ("last", "best", "shown"),
    [
        ({"epoch": 2, "best": 2}, {"epoch": 1, "best": 1}, 2),
        ({"epoch": 2, "best": 1}, {"epoch": 1, "best": 1}, 1),
        ({"epoch": 2, "best": 1}, None, 2),
        ({"epoch": 2, "best": None}, None, 2),
        (None, {"epoch": 1, "best": 1}, 1),
    ],
)
def test_of_an_unfinished_trial_the_best_epoch_that_is_there_is_shown(
    folder: Path, last: dict[str, Any] | None, best: dict[str, Any] | None, shown: int
) -> None:
    study = StudyFolder.reopen(folder)
    history, _ = study.history()
    history.trials[0].state = State.RUNNING
    content = checkpoints.read(folder / "checkpoints" / "0.best.pt")
    assert content is not None
    for name, epochs in (("0.pt", last), ("0.best.pt", best)):
        path = folder / "checkpoints" / name
        path.unlink(missing_ok=True)
        if epochs is not None:
            reports = json.dumps([{"fidelity": epochs["epoch"]}])
            best_report = json.dumps(epochs["best"] and {"fidelity": epochs["best"]})
            checkpoints.write(path, content | {"reports": reports, "best": best_report})
    assert TrainedModel(study, history, [0]).epoch == shown


def test_a_figure_of_a_trial_that_is_being_trained_leaves_its_files_alone(folder: Path) -> None:
    half_written = folder / "checkpoints" / ".0.best.pt.tmp"
    half_written.write_bytes(b"a worker writes this now")
    plot(folder, "filters", trials=[0])
    assert half_written.exists()


def test_a_checkpoint_of_another_version_is_named(folder: Path) -> None:
    checkpoints.write(folder / "checkpoints" / "0.best.pt", {"weights": {}})
    assert "checkpoint of trial 0 of study 's' was written by another version" in refused(
        folder, "filters", StudyError, trials=[0]
    )


def test_the_best_trial_that_has_a_checkpoint_is_shown_as_it_was_trained(folder: Path) -> None:
    study = StudyFolder.reopen(folder)
    history, _ = study.history()
    best, second = history.ranked()[:2]
    trained = TrainedModel(study, history, [])
    assert trained.trial == best
    saved = checkpoints.read(folder / "checkpoints" / f"{best.number}.best.pt")
    assert saved is not None
    weights = saved["state"]["trained"] | saved["state"]["current"]["weights"]
    assert np.array_equal(trained.filters(), weights["stages.stage1.0.weight"].numpy())
    points, drawn_labels = trained.embedding()
    assert points.shape == (360, 2)
    assert sorted(drawn_labels.tolist()) == sorted(Sealed().training().labels.tolist())
    (folder / "checkpoints" / f"{best.number}.best.pt").unlink()
    other = TrainedModel(study, history, [])
    assert other.trial == second
    assert not np.array_equal(trained.filters(), other.filters())


def test_an_image_is_one_of_the_validation_part_or_a_file(folder: Path, tmp_path: Path) -> None:
    study = StudyFolder.reopen(folder)
    trained = TrainedModel(study, study.history()[0], [])
    Image.new("L", (20, 30), 128).save(tmp_path / "grey.png")
    stage, image, maps = trained.activations(None, str(tmp_path / "grey.png"))
    assert stage == "stage1"
    assert image.shape == (1, 8, 8)
    assert np.allclose(image, 128 / 255)
    assert [values.shape for _, values in maps] == [(4, 8, 8), (4, 8, 8), (4, 4, 4)]
    zeroth, fifth = (trained.activations("stage2", number)[1] for number in (None, "5"))
    assert fifth.max() <= 1
    assert not np.array_equal(zeroth, fifth)
