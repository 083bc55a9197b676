"""The misclassified images that a test keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.errors import StudyError
from hpo.heldout import ModelResult, Plan, evaluate, misclassified
from hpo.record import Budget, StudyFolder
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical
from tests.heldout import studies
from tests.heldout.studies import searched
from trainables.regimes import from_scratch

SPACE = replace(studies.SPACE, domains={"lr": Categorical((1e-2, 1e-3))}, fidelity=Fidelity(2))


def kept(folder: Path) -> dict[str, Any]:
    """The arrays of the misclassified images that a test kept."""
    with np.load(folder / "misclassified.npz", allow_pickle=False) as file:
        return dict(file)


def test_the_images_kept_are_those_of_the_first_seed_of_the_best(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", SPACE)
    first = evaluate(folder, Plan(top=2, seeds=3)).to_json()["results"][0]
    accuracies = first["test_accuracy"]["values"]
    found = kept(folder)
    assert (found["trial"], found["seed"], found["n"]) == (first["trial"], 0, 360)
    assert accuracies.count(accuracies[0]) == 1, "else another seed might pass for the first"
    assert found["n_wrong"] == round(360 * (1 - accuracies[0]))
    assert len(found["images"]) == len(found["true"]) == len(found["top"]) == min(48, found["n_wrong"])
    assert all(true != top[0] for true, top in zip(found["true"], found["top"], strict=True))


def test_the_images_need_no_look_of_their_own(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", SPACE)
    looks: list[ModelResult] = []
    assert evaluate(folder, Plan(seeds=2), watch=looks.append).to_json()["looks"] == len(looks) == 2
    assert json.loads((folder / "test.json").read_text())["looks"] == 2


def test_the_weights_of_the_search_keep_their_images_too(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", SPACE)
    entry = evaluate(folder, Plan(protocol="checkpoint")).to_json()["results"][0]
    found = kept(folder)
    assert found["n_wrong"] == round(360 * (1 - entry["test_accuracy"]["mean"]))
    assert found["seed"] == entry["seeds"][0]


def test_folds_show_what_they_get_wrong_together(tmp_path: Path) -> None:
    task = replace(SPACE.task, validation=replace(SPACE.task.validation, fraction=None, folds=3))
    folder = searched(tmp_path / "s", replace(SPACE, task=task))
    evaluate(folder)
    assert 0 < kept(folder)["n_wrong"] < 60


def test_a_trainable_that_does_not_predict_is_tested_and_keeps_no_images(tmp_path: Path) -> None:
    task = Task("tests.toy", dataset=DatasetSpec("digits"))
    folder = searched(tmp_path / "s", SearchSpace("toy", {"x": Categorical((0.3, 0.9))}, Fidelity(2), task))
    assert evaluate(folder).to_json()["looks"] == 1
    assert not (folder / "misclassified.npz").exists()


def test_a_retrained_model_and_its_images_belong_together(tmp_path: Path) -> None:
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

    folder = searched(tmp_path / "s", SPACE, trainable=build)
    entry = evaluate(folder, Plan(seeds=2), trainable=build).to_json()["results"][0]
    # The first model predicts the validation part before its look, so that faulty code costs no look.
    assert seen[1:] == pytest.approx(entry["test_accuracy"]["values"])


ARRAYS = {
    "images": np.zeros((1, 1, 2, 2), np.uint8),
    "true": np.array(["cat"]),
    "top": np.array([["dog", "cat"]]),
    "probabilities": np.array([[0.75, 0.25]], np.float32),
    "n_wrong": np.array(1),
    "n": np.array(5),
}


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A study in an empty folder."""
    return StudyFolder(tmp_path, SPACE, studies.SETTINGS, Budget())


def test_what_is_written_is_read_again(study: StudyFolder) -> None:
    misclassified.write(study, ARRAYS, trial=7, seed=2)
    found = misclassified.read(study)
    assert (found.trial, found.seed, found.n_wrong, found.n) == (7, 2, 1, 5)
    assert (found.true, found.top) == (["cat"], [[("dog", 0.75), ("cat", 0.25)]])
    assert np.array_equal(found.images, ARRAYS["images"])


def test_a_study_that_was_not_tested_says_what_to_run(study: StudyFolder) -> None:
    with pytest.raises(StudyError, match=r"misclassified\.npz: is not there: run `hpo test"):
        misclassified.read(study)


def test_a_deleted_file_is_written_again_by_the_command_that_the_message_names(folder: Path) -> None:
    evaluate(folder)
    (folder / "misclassified.npz").unlink()
    opened = StudyFolder.reopen(folder)
    for protocol in ("checkpoint", "retrain"):
        with pytest.raises(
            StudyError, match=rf"hpo test s --protocol {protocol}` writes it again, and is another look"
        ):
            misclassified.read(opened)
        evaluate(folder, Plan(protocol=protocol))
        assert misclassified.read(opened).n > 0
        (folder / "misclassified.npz").unlink()


def test_a_file_without_all_arrays_is_damaged(study: StudyFolder) -> None:
    misclassified.write(study, {key: value for key, value in ARRAYS.items() if key != "top"}, trial=7, seed=2)
    with pytest.raises(StudyError, match=r"misclassified\.npz: is damaged"):
        misclassified.read(study)
