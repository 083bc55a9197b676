"""Which trials of a study make a soup, what is averaged of each, and which checkpoints stay afterwards."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import hpo
from hpo.errors import UserError
from hpo.heldout import RetrainedEpoch, Soup, evaluate, make_soup, soup_record
from hpo.loop import begin
from hpo.record import Budget, StudyFolder
from hpo.space import Fidelity
from hpo.space.domains import Categorical
from tests.heldout import zoo
from trainables import vision
from trainables.models import _weights
from trainables.training import checkpoints

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is an extra"),
    pytest.mark.slow,
]
EQUAL = "tests.heldout.equal_metric:cost"
"""The objective by which all trials are equal, so that each joins the soup."""
OWN_KNN = """
from trainables.regimes import closed_form
HYPERPARAMETERS = {}
PRETRAINED = True
def build(config, model, data, device):
    return closed_form.build({"method": "knn", "k": K}, model, data, device)
"""
"""A regime whose training replaces the head. K is how many neighbours vote."""


def searched(
    root: Path,
    folder: Path,
    domains: dict[str, Any],
    *,
    model: str = "test_resnet",
    regime: str = "fine_tune",
    trials: int = 2,
    objective: str = "val_loss",
    **fixed: Any,
) -> Path:
    """A study of a small network that starts from the weights of a file, `weights.safetensors`."""
    vision.torchvision()
    import timm

    torch.manual_seed(0)
    _weights.save(timm.create_model(model).state_dict(), folder / "weights.safetensors")
    space = zoo.space(model=f"timm:{model}", regime=regime, weights=str(folder / "weights.safetensors"))
    if "regime" in domains:
        space = replace(space, task=replace(space.task, regime=None))
    everywhere = {"image_size": 32, "batch_size": 8, **fixed}
    space = replace(space, domains=domains, fidelity=Fidelity(2), fixed=everywhere, objective=objective)
    begin(folder / "s", space, zoo.settings(root), Budget(trials=trials))
    return folder / "s"


def two_rates(when: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"lr": Categorical((1e-4, 2e-4), when=when or {})}


def own_regime(folder: Path, k: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Install the regime `own_knn`. Returns domains of it and of `fine_tune`."""
    info = folder / "installed" / "own_knn-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-knn\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[trainables.regimes]\nown_knn = own_knn_{k}\n")
    (folder / "installed" / f"own_knn_{k}.py").write_text(OWN_KNN.replace("K}", f"{k}}}"))
    monkeypatch.syspath_prepend(str(folder / "installed"))
    return {"regime": Categorical(("fine_tune", "own_knn")), **two_rates({"regime": ("fine_tune",)})}


def regimes(study: Path) -> list[str]:
    """The regimes of the trials, the best trial first."""
    history, _ = StudyFolder.reopen(study).history()
    return [str(trial.config["regime"]) for trial in history.ranked()]


def nothing_was_begun(study: Path) -> bool:
    return not any((study / name).exists() for name in ("test.json", "soup.json", "soup.pt", "retrained"))


def test_a_closed_form_classifier_as_the_best_trial_is_an_error_before_any_look(root: Path, tmp_path: Path) -> None:
    study = searched(root, tmp_path, {"k": Categorical((2, 4))}, regime="closed_form", method="knn")
    with pytest.raises(
        UserError, match=r"best trial .* is of the regime closed_form: its weights have no common start"
    ):
        make_soup(study)
    assert nothing_was_begun(study)


def test_closed_form_classifiers_are_left_out_and_named(root: Path, tmp_path: Path) -> None:
    domains = {"regime": Categorical(("fine_tune", "closed_form")), **two_rates({"regime": ("fine_tune",)})}
    study = searched(root, tmp_path, domains, trials=3, method="knn", k=1)
    assert regimes(study)[-1] == "closed_form"
    notes: list[str] = []
    soup, _ = make_soup(study, notify=notes.append)
    assert len(soup.candidates) == 2
    assert any("weights of the regime closed_form have no common start: trial" in note for note in notes)


def test_a_model_with_replaced_layers_is_left_out_and_its_retraining_is_deleted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = searched(root, tmp_path, own_regime(tmp_path, 1, monkeypatch), trials=3)
    assert regimes(study)[-1] == "own_knn"
    shutil.rmtree(study / "checkpoints")
    notes: list[str] = []
    soup, _ = make_soup(study, notify=notes.append)
    assert {each.protocol for each in soup.candidates} == {"retrain"}
    assert len(soup.candidates) == 2
    assert any("has replaced layers of the model" in note for note in notes)
    assert not (study / "retrained").exists()


def test_a_best_trial_with_replaced_layers_is_an_error_before_any_look(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = searched(root, tmp_path, own_regime(tmp_path, 20, monkeypatch), trials=3)
    assert regimes(study)[0] == "own_knn"
    with pytest.raises(UserError, match=r"has replaced layers .*, and it is the best trial"):
        make_soup(study)
    assert nothing_was_begun(study)


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept by the search", "trained again"])
def test_the_training_that_an_interrupted_test_left_stays(is_kept: bool, root: Path, tmp_path: Path) -> None:
    study = searched(root, tmp_path, two_rates())

    def interrupt(epoch: RetrainedEpoch) -> None:
        if epoch.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(study, watch_epoch=interrupt)
    (begun,) = (study / "retrained").glob("*.pt")
    before = begun.read_bytes()
    if not is_kept:
        shutil.rmtree(study / "checkpoints")
    soup, _ = make_soup(study)
    assert len(soup.candidates) == 2
    assert list((study / "retrained").glob("*.pt")) == [begun]
    assert not is_kept or begun.read_bytes() == before
    assert not soup.retrained
    assert evaluate(study).trials
    assert not (study / "retrained").exists()


def ingredients(study: Path) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """The states of the chosen trials in the search, and the weights of the soup."""
    soup: Soup = make_soup(study)[0]
    assert len(soup.chosen) == 2
    saved = [checkpoints.read(study / "checkpoints" / f"{number}.best.pt") for number in soup.chosen]
    return [each["state"] for each in saved if each is not None], soup_record.read_weights(StudyFolder.reopen(study))[0]


def test_of_trials_with_a_moving_average_the_averages_are_averaged(root: Path, tmp_path: Path) -> None:
    states, found = ingredients(searched(root, tmp_path, two_rates(), objective=EQUAL, ema=0.9))
    for key in [key for key in states[0]["average"] if key.endswith(("weight", "bias"))]:
        expected = (states[0]["average"][key] + states[1]["average"][key]) / 2
        torch.testing.assert_close(found[key], expected)
    assert not torch.allclose(states[0]["average"]["head.weight"], states[0]["weights"]["head.weight"])


def test_of_lora_the_merged_weights_are_averaged(root: Path, tmp_path: Path) -> None:
    """The mean of the products of the adapters is not the product of their means."""
    pytest.importorskip("peft")
    study = searched(
        root,
        tmp_path,
        {"lr": Categorical((0.001, 0.002))},
        model="test_vit",
        regime="lora",
        lora_rank=2,
        objective=EQUAL,
    )
    states, found = ingredients(study)
    weights = [each["weights"] for each in states]
    names = [key.removesuffix(".lora_A.default.weight") for key in weights[0] if ".lora_A." in key]
    assert names

    def update(state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
        return 16 / 2 * state[f"{name}.lora_B.default.weight"] @ state[f"{name}.lora_A.default.weight"]

    for name in names:
        updates = [update(each, name) for each in weights]
        start = found[f"{name}.weight"] - (updates[0] + updates[1]) / 2
        assert not torch.allclose(updates[0], updates[1])
        assert_pretrained(start, name, tmp_path)


def assert_pretrained(weight: torch.Tensor, name: str, folder: Path) -> None:
    """Check that a weight is one of the file of pretrained weights."""
    from safetensors.torch import load_file

    file = load_file(folder / "weights.safetensors")
    same = [value for key, value in file.items() if key.endswith(".qkv.weight") and value.shape == weight.shape]
    assert any(torch.allclose(weight, value, atol=1e-6) for value in same), name


def test_the_python_api_makes_a_soup_and_writes_it(root: Path, tmp_path: Path) -> None:
    study = hpo.open_study(searched(root, tmp_path, two_rates(), objective=EQUAL))
    frame = study.soup(quiet=True)
    assert list(frame["model"]) == ["soup", "best"]
    soup = soup_record.read(StudyFolder.reopen(study.path))
    assert soup is not None
    assert sorted(soup.chosen) == [0, 1]
    assert list(frame["trials"]) == [soup.chosen, soup.chosen[:1]]
    assert list(frame["test_loss"]) == [soup.test["loss"], soup.best_test["loss"]]
    assert list(frame["val_loss"]) == [soup.validation["loss"], soup.best.validation["loss"]]
    model = study.model(tmp_path / "m", soup=True, quiet=True)
    assert model.about["training"]["soup"] == soup.chosen
    with pytest.raises(UserError, match="a soup is made of at least 2 trials: `top` is 1"):
        study.soup(top=1)
