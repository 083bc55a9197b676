from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.heldout import ModelResult, evaluate
from hpo.loop.search import begin
from hpo.record import Budget, Settings
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical
from trainables.regimes import from_scratch, frozen_fc

SPACE = SearchSpace(
    "digits",
    {"lr": Categorical((1e-2, 1e-3))},
    Fidelity(2),
    Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits")),
    {"optimizer": "adam", "batch_size": 64},
)


def searched(folder: Path, space: SearchSpace = SPACE, trainable: Any = None) -> Path:
    begin(folder, space, Settings(backend="grid", runner="inline", devices="cpu"), Budget(), trainable=trainable)
    return folder


def mistakes(folder: Path) -> dict[str, Any]:
    with np.load(folder / "misclassified.npz", allow_pickle=False) as file:
        return dict(file)


def test_the_mistakes_kept_are_those_of_the_first_seed_of_the_best(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s")
    first = evaluate(folder, top=2, seeds=3).to_json()["results"][0]
    accuracies = first["test_accuracy"]["values"]
    found = mistakes(folder)
    assert (found["trial"], found["seed"], found["n"]) == (first["trial"], 0, 360)
    assert accuracies.count(accuracies[0]) == 1, "else another seed might pass for the first"
    assert found["n_wrong"] == round(360 * (1 - accuracies[0]))
    assert len(found["images"]) == len(found["true"]) == len(found["top"]) == min(48, found["n_wrong"])
    assert all(true != top[0] for true, top in zip(found["true"], found["top"], strict=True))


def test_the_mistakes_need_no_look_of_their_own(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s")
    looks: list[ModelResult] = []
    assert evaluate(folder, seeds=2, watch=looks.append).to_json()["looks"] == len(looks) == 2
    assert json.loads((folder / "test.json").read_text())["looks"] == 2


def test_the_weights_of_the_search_show_their_mistakes_too(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s")
    entry = evaluate(folder, protocol="checkpoint").to_json()["results"][0]
    found = mistakes(folder)
    assert found["n_wrong"] == round(360 * (1 - entry["test_accuracy"]["mean"]))
    assert found["seed"] == entry["seeds"][0]


def test_folds_show_what_they_get_wrong_together(tmp_path: Path) -> None:
    task = replace(SPACE.task, validation=replace(SPACE.task.validation, fraction=None, folds=3))
    folder = searched(tmp_path / "s", replace(SPACE, task=task))
    evaluate(folder)
    assert 0 < mistakes(folder)["n_wrong"] < 60


def test_a_trainable_that_does_not_predict_is_tested_and_leaves_no_mistakes(tmp_path: Path) -> None:
    task = Task("tests.toy", dataset=DatasetSpec("digits"))
    folder = searched(tmp_path / "s", SearchSpace("toy", {"x": Categorical((0.3, 0.9))}, Fidelity(2), task))
    assert evaluate(folder).to_json()["looks"] == 1
    assert not (folder / "misclassified.npz").exists()


@pytest.mark.parametrize("protocol", ["checkpoint", "retrain"])
def test_a_head_that_stays_as_random_as_it_began_is_tested_as_it_was_trained(tmp_path: Path, protocol: str) -> None:
    losses: list[float] = []

    def build(config: Any, model: Any, data: Any, device: str) -> Any:
        training: Any = frozen_fc.build({**config, "train_head": False}, model, data, device)
        whole = training.evaluate

        def evaluate(part: Any) -> Any:
            losses.append(whole(data.validation)["loss"])
            return whole(part)

        training.evaluate = evaluate
        return training

    domains = {"lr": Categorical((1e-2,))}
    space = replace(
        SPACE, domains=domains, task=Task(model="small_cnn", dataset=DatasetSpec("digits")), fixed={"width": 4}
    )
    folder = searched(tmp_path / "s", space, build)
    looks: list[ModelResult] = []
    evaluate(folder, protocol=protocol, trainable=build, watch=looks.append)
    assert losses[-1] == pytest.approx(looks[0].validation["val_loss"])


def test_a_retrained_model_and_its_mistakes_belong_together(tmp_path: Path) -> None:
    seen: list[float] = []

    def build(*arguments: Any) -> Any:
        training: Any = from_scratch.build(*arguments)
        predict = training.predict

        def spied(part: Any) -> Any:
            probabilities = predict(part)
            seen.append(float((probabilities.argmax(1) == part.labels).float().mean()))
            return probabilities

        training.predict = spied
        return training

    folder = searched(tmp_path / "s")
    entry = evaluate(folder, seeds=2, trainable=build).to_json()["results"][0]
    assert seen == pytest.approx(entry["test_accuracy"]["values"][:1])
