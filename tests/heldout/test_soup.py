"""The soup of a study: the average of the weights of some of its trials."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from hpo.cli.app import app
from hpo.errors import UserError
from hpo.final_model import ModelOptions, load_model, write_model
from hpo.heldout import RetrainedEpoch, evaluate, make_soup, soup_record
from hpo.heldout.retraining import MAX_SEEDS
from hpo.loop import begin
from hpo.record import Budget, StudyFolder
from hpo.results import soup as soup_lines
from hpo.results import status
from hpo.space import Fidelity, SearchSpace, Validation
from hpo.space.domains import Categorical
from tests.heldout import zoo
from trainables import vision
from trainables.inference import soup as averaging
from trainables.models import _weights
from trainables.training import checkpoints

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is an extra")
MODEL = "test_resnet"


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    """Three trials of a small network with BatchNorm, which starts from the weights of a file."""
    vision.torchvision()
    import timm

    torch.manual_seed(0)
    _weights.save(timm.create_model(MODEL).state_dict(), tmp_path / "weights.safetensors")
    weights = str(tmp_path / "weights.safetensors")
    found = zoo.space(model=f"timm:{MODEL}", regime="fine_tune", weights=weights)
    lr = {"lr": Categorical((1e-4, 2e-4, 3e-4))}
    return replace(found, domains=lr, fidelity=Fidelity(2), fixed={"image_size": 32, "batch_size": 8})


@pytest.fixture
def study(space: SearchSpace, root: Path, tmp_path: Path) -> Path:
    begin(tmp_path / "s", space, zoo.settings(root), Budget(trials=3))
    return tmp_path / "s"


@needs_timm
@pytest.mark.slow
def test_a_soup_is_chosen_on_validation_and_looked_at_once(study: Path, tmp_path: Path) -> None:
    soup, record = make_soup(study)
    assert soup.validation["loss"] <= soup.best.validation["loss"]
    assert [each.validation["loss"] for each in soup.candidates] == sorted(
        each.validation["loss"] for each in soup.candidates
    )
    assert set(soup.test) == set(soup.best_test) == set(soup.validation)
    assert record.n_looks == json.loads((study / "test.json").read_text())["looks"] == 1
    again, record = make_soup(study)
    assert (again, record.n_looks) == (soup_record.read(StudyFolder.reopen(study)), 1)
    assert again.test == soup.test
    text = "\n".join(soup_lines.lines(again, record))
    assert f"test accuracy {soup.test['accuracy']:.4f}" in text
    assert "looked at 1 time." in text
    assert not any(line.startswith(("soup", "test     interrupted")) for line in status.lines(study))
    typed_again = CliRunner().invoke(app, ["soup", "s", "--studies", str(tmp_path)])
    assert typed_again.output.startswith("The soup was finished before, and nothing was computed again.\n")
    (study / "soup.pt").unlink()
    assert "finished before" not in CliRunner().invoke(app, ["soup", "s", "--studies", str(tmp_path)]).output


@needs_timm
@pytest.mark.slow
def test_the_weights_are_the_mean_of_those_of_the_search_and_make_the_model_folder(study: Path, tmp_path: Path) -> None:
    soup, _ = make_soup(study)
    opened = StudyFolder.reopen(study)
    states = [_searched_state(opened, number) for number in soup.chosen]
    found, best = soup_record.read_weights(opened)
    assert all(torch.equal(best[f"{key}"], value) for key, value in states[0].items())
    assert len(states) > 1
    for key, value in averaging.average(states).items():
        if "running_" in key:  # computed anew from the training images
            assert not torch.equal(found[key], value)
        elif "num_batches" not in key:
            torch.testing.assert_close(found[key], value)
    written = write_model(study, tmp_path / "m", ModelOptions(soup=True))
    numbers = ", ".join(map(str, soup.chosen))
    assert f"soup: the average of the weights of trials {numbers}, trained on " in written.lines[0]
    about = load_model(tmp_path / "m", device="cpu").about
    assert about["training"]["soup"] == list(soup.chosen)
    assert about["results"]["test"]["accuracy"] == soup.test["accuracy"]
    assert about["results"]["validation"]["val_loss"] == soup.validation["loss"]


def _searched_state(study: StudyFolder, number: int) -> dict[str, Any]:
    saved = checkpoints.read(study.checkpoints / f"{number}.best.pt")
    assert saved is not None
    return dict(saved["state"]["weights"])


@needs_timm
@pytest.mark.slow
def test_a_soup_that_is_interrupted_goes_on_and_trains_no_epoch_twice(study: Path) -> None:
    """The epochs that are trained already are only reported again: their checkpoints stay as they are."""
    shutil.rmtree(study / "checkpoints")
    before: dict[tuple[int, int], int] = {}

    def written(trial: int) -> int:
        return (study / "retrained" / f"{trial * MAX_SEEDS}.pt").stat().st_mtime_ns

    def interrupt(epoch: RetrainedEpoch) -> None:
        if epoch.epoch:
            before[epoch.trial, epoch.epoch] = 0
        if len(before) == 3:
            raise KeyboardInterrupt

    def watch(epoch: RetrainedEpoch) -> None:
        if last := before.pop((epoch.trial, epoch.epoch), None):
            assert written(epoch.trial) == last

    with pytest.raises(KeyboardInterrupt):
        make_soup(study, watch_epoch=interrupt)
    before = {key: written(key[0]) for key in before}
    assert [line for line in status.lines(study) if line.startswith("soup     interrupted")]
    with pytest.raises(UserError, match="has a soup that is not finished"):
        write_model(study, study.parent / "m", ModelOptions(soup=True))
    soup, record = make_soup(study, watch_epoch=watch)
    assert not before
    assert {each.protocol for each in soup.candidates} == {"retrain"}
    assert record.n_looks == 1
    assert not (study / "retrained").exists()


@needs_timm
@pytest.mark.slow
def test_a_look_that_was_interrupted_is_counted_once(
    space: SearchSpace, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "s"
    objective = "tests.heldout.failing_metric:cost"
    begin(study, replace(space, objective=objective), zoo.settings(root), Budget(trials=3))
    monkeypatch.setenv("FAIL_ON", str(len(_held_out_files(study))))
    with pytest.raises(UserError, match="no such luck"):
        make_soup(study)
    chosen = soup_record.read(StudyFolder.reopen(study))
    monkeypatch.delenv("FAIL_ON")
    soup, record = make_soup(study)
    assert chosen is not None
    assert (soup.weights, soup.chosen) == (chosen.weights, chosen.chosen)
    assert (record.n_looks, record.unfinished) == (1, [])


def _held_out_files(study: Path) -> list[str]:
    recorded = StudyFolder.reopen(study).data_record()
    assert recorded is not None
    return list(recorded["dataset"]["held_out_part"]["names"])


@needs_timm
@pytest.mark.slow
def test_a_look_of_a_test_before_is_counted_beside_that_of_the_soup(study: Path) -> None:
    evaluate(study)
    _, record = make_soup(study, 2)
    assert record.n_looks == 2
    assert [each.trial for each in record.trials] == [each.trial for each in evaluate(study).trials]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "none", "regime": "from_scratch"}, "trains from random weights: only models that start from"),
        ({"validation": Validation(fraction=None, folds=2)}, "trained a model for each fold, and a soup needs one"),
    ],
    ids=["random weights", "folds"],
)
def test_trials_that_cannot_be_averaged_are_an_error_before_any_look(
    change: dict[str, Any], message: str, root: Path, tmp_path: Path
) -> None:
    begin(tmp_path / "s", zoo.space(**change), zoo.settings(root), Budget(trials=2))
    with pytest.raises(UserError, match=message):
        make_soup(tmp_path / "s")
    assert not (tmp_path / "s" / "test.json").exists()
    with pytest.raises(UserError, match="has no soup: `hpo soup s"):
        write_model(tmp_path / "s", tmp_path / "m", ModelOptions(soup=True))


def test_a_soup_and_another_choice_of_a_model_exclude_each_other() -> None:
    for options in ({"trial": 1}, {"train_on": "all"}):
        with pytest.raises(UserError, match="--soup writes the weights that `hpo soup` made: leave --trial and"):
            ModelOptions(soup=True, **options)
