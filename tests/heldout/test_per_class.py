"""The results of each class that a test writes, and the confusion matrices that they are computed from."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from hpo.errors import StudyError, UserError
from hpo.heldout import ModelResult, Plan, confusion, evaluate, per_class
from hpo.heldout.confusion import ConfusionMatrix
from hpo.record import StudyFolder
from hpo.results import status
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical
from tests.heldout import studies
from tests.heldout.studies import content, searched
from trainables.regimes import from_scratch

SPACE = replace(studies.SPACE, domains={"lr": Categorical((1e-2, 1e-3))}, fidelity=Fidelity(2))


class WrongShape:
    """A training whose `predict` returns one class too many."""

    def __init__(self, *arguments: Any) -> None:
        self.training: Any = from_scratch.build(*arguments)

    def predict(self, part: Any) -> torch.Tensor:
        return torch.zeros(len(part), 11)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.training, name)


class SometimesMute:
    """A training that cannot predict while the environment says so."""

    def __init__(self, *arguments: Any) -> None:
        self.training: Any = from_scratch.build(*arguments)

    def __getattr__(self, name: str) -> Any:
        if name == "predict" and "MUTE" in os.environ:
            raise AttributeError(name)
        return getattr(self.training, name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a finished search of two trials."""
    return searched(tmp_path / "s", SPACE)


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The content of `per_class.csv` and of `confusion.csv`."""
    read: Any = pd.read_csv
    of_classes, of_cells = (read(folder / name, dtype={"class": str}) for name in ("per_class.csv", "confusion.csv"))
    return of_classes, of_cells


def written(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "per_class.csv").read_bytes(), (folder / "confusion.csv").read_bytes()


def matrix(*rows: list[int]) -> ConfusionMatrix:
    return ConfusionMatrix(tuple("abcdefgh"[: len(rows)]), np.array(rows))


def test_each_class_has_a_row_for_each_tested_trial_and_the_cells_add_up_to_the_accuracy(folder: Path) -> None:
    evaluate(folder, Plan(top=2, seeds=2))
    of_classes, of_cells = tables(folder)
    assert list(of_classes) == [
        *("trial", "seeds", "class", "support", "precision", "precision_std", "recall", "recall_std", "f1", "f1_std")
    ]
    for result in content(folder)["results"]:
        rows = of_classes[of_classes.trial == result["trial"]]
        assert list(rows["class"]) == list("0123456789")
        assert rows.support.sum() == 360
        assert set(rows.seeds) == {2}
        mean_recall = np.average(rows.recall, weights=rows.support)
        assert mean_recall == pytest.approx(result["test_accuracy"]["mean"])
        for seed, accuracy in zip(result["seeds"], result["test_accuracy"]["values"], strict=True):
            cells = of_cells[(of_cells.trial == result["trial"]) & (of_cells.seed == seed)]
            assert cells.images.sum() == 360
            assert cells.images[cells.true == cells.predicted].sum() == round(accuracy * 360)
    assert of_classes.trial.iloc[0] == content(folder)["results"][0]["trial"], "the best trial comes first"


def test_the_results_per_class_need_no_look_of_their_own(folder: Path) -> None:
    looks: list[ModelResult] = []
    assert evaluate(folder, Plan(seeds=2), watch=looks.append).n_looks == len(looks) == 2


def test_what_a_later_test_keeps_keeps_its_results_per_class(folder: Path, tmp_path: Path) -> None:
    evaluate(folder)
    evaluate(folder, Plan(seeds=2))
    assert evaluate(folder, Plan(top=2, seeds=2)).n_looks == 4
    step_by_step = written(folder)
    assert evaluate(folder, Plan(top=2, seeds=2)).n_looks == 4
    assert written(folder) == step_by_step
    for name in ("test.json", "per_class.csv", "confusion.csv"):
        (folder / name).unlink()
    evaluate(folder, Plan(top=2, seeds=2))
    assert written(folder) == step_by_step


def test_an_interrupted_test_that_goes_on_has_the_results_of_all_seeds(folder: Path) -> None:
    def interrupt(result: ModelResult) -> None:
        if result.seed == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(folder, Plan(seeds=3), watch=interrupt)
    assert set(tables(folder)[1].seed) == {0, 1}
    evaluate(folder, Plan(seeds=3))
    of_classes, of_cells = tables(folder)
    assert (set(of_classes.seeds), set(of_cells.seed)) == ({3}, {0, 1, 2})


def test_a_result_that_is_replaced_leaves_no_results_per_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = searched(tmp_path / "s", SPACE, trials=1, trainable=SometimesMute)
    evaluate(folder, trainable=SometimesMute)
    assert (folder / "confusion.csv").exists()
    earlier = content(folder)
    earlier["results"][0]["versions"] = {"torch": "1.0"}
    (folder / "test.json").write_text(json.dumps(earlier))
    monkeypatch.setenv("MUTE", "1")
    evaluate(folder, trainable=SometimesMute)
    assert not (folder / "confusion.csv").exists()
    assert not (folder / "per_class.csv").exists()


def test_results_of_another_protocol_replace_those_of_the_same_trial_alone(folder: Path) -> None:
    evaluate(folder, Plan(top=2, seeds=2))
    first, second = (entry["trial"] for entry in content(folder)["results"])
    evaluate(folder, Plan(protocol="checkpoint"))
    of_classes, of_cells = tables(folder)
    assert {trial: set(rows.seeds) for trial, rows in of_classes.groupby("trial")} == {first: {1}, second: {2}}
    assert len(of_cells[["trial", "seed"]].drop_duplicates()) == 3


def test_results_that_an_earlier_version_kept_have_none_per_class_and_a_line_says_so(folder: Path) -> None:
    evaluate(folder)
    for name in ("per_class.csv", "confusion.csv"):
        (folder / name).unlink()
    lines = status.test_lines(evaluate(folder))
    assert lines[2].startswith("  no results per class: ")
    assert not (folder / "per_class.csv").exists()
    lines = status.test_lines(evaluate(folder, Plan(seeds=2)))
    assert lines[2].startswith("  lowest recall (over 1 of 2 seeds): ")


def test_a_trainable_that_does_not_predict_has_no_results_per_class(tmp_path: Path) -> None:
    task = Task("tests.toy", dataset=DatasetSpec("digits"))
    folder = searched(tmp_path / "s", SearchSpace("toy", {"x": Categorical((0.3, 0.9))}, Fidelity(2), task))
    record = evaluate(folder)
    assert not (folder / "confusion.csv").exists()
    assert "no results per class: its training code has no `predict(part)`" in status.test_lines(record)[2]


def test_predictions_of_a_wrong_shape_are_named(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", SPACE, trials=1, trainable=WrongShape)
    with pytest.raises(UserError, match=r"returned shape \(287, 11\); needed is \(287, 10\): images, classes"):
        evaluate(folder, trainable=WrongShape)
    assert not (folder / "test.json").exists(), "no look was counted"


def test_the_classes_of_folds_are_those_that_their_models_predict_together(tmp_path: Path) -> None:
    task = replace(SPACE.task, validation=replace(SPACE.task.validation, fraction=None, folds=3))
    folder = searched(tmp_path / "s", replace(SPACE, task=task), trials=1)
    evaluate(folder)
    assert tables(folder)[0].support.sum() == 360


def test_grouped_classes_are_the_classes_of_the_results(tmp_path: Path) -> None:
    halves = {"low": tuple("01234"), "high": tuple("56789")}
    space = replace(SPACE, task=replace(SPACE.task, dataset=DatasetSpec("digits", merged_classes=halves)))
    folder = searched(tmp_path / "s", space, trials=1)
    record = evaluate(folder)
    assert list(tables(folder)[0]["class"]) == ["low", "high"]
    assert status.test_lines(record)[2].count("images)") == 2


def test_the_three_classes_with_the_lowest_recall_are_named(folder: Path) -> None:
    lines = status.test_lines(evaluate(folder, Plan(seeds=2)))
    rows = tables(folder)[0].sort_values(["recall", "f1"]).head(3)
    named = [
        f"{row['class']} {row.recall:.4f} ± {row.recall_std:.4f} ({row.support} images)" for _, row in rows.iterrows()
    ]
    assert lines[2] == f"  lowest recall: {', '.join(named)}"


@given(st.data())
def test_precision_recall_and_f1_are_those_of_scikit_learn(drawn: st.DataObject) -> None:
    n_classes = drawn.draw(st.integers(2, 6))
    row = st.lists(st.integers(0, 5), min_size=n_classes, max_size=n_classes)
    counts = np.array(drawn.draw(st.lists(row, min_size=n_classes, max_size=n_classes)))
    counts[0, 1] += 1  # scikit-learn accepts no empty input
    cells = [(i, j) for i, j in np.ndindex(counts.shape) for _ in range(counts[i, j])]
    true, predicted = ([cell[axis] for cell in cells] for axis in (0, 1))
    expected = precision_recall_fscore_support(true, predicted, labels=range(n_classes), zero_division=0)
    for found, *values in zip(per_class.results([matrix(*counts.tolist())]), *expected, strict=True):
        assert found.support == values[3]
        means = [found.precision.mean, found.recall.mean, found.f1.mean]
        assert means == (pytest.approx(values[:3]) if found.support else pytest.approx([math.nan] * 3, nan_ok=True))


def test_the_spread_over_seeds_is_that_of_the_metrics() -> None:
    first, second = per_class.results([matrix([4, 0], [1, 3]), matrix([2, 2], [1, 3])])
    assert (first.recall.mean, first.recall.values) == (0.75, [1.0, 0.5])
    assert first.recall.std == pytest.approx(0.5 / math.sqrt(2))
    assert (second.recall.mean, second.recall.std) == (0.75, 0.0)


def test_a_class_without_an_image_has_empty_cells_and_is_not_among_the_worst(folder: Path) -> None:
    record = evaluate(folder)
    trial = record.trials[0].trial
    per_class.write(record.study, record, {(trial, 0): matrix([5, 1, 0], [0, 0, 0], [3, 1, 0])})
    lines = (folder / "per_class.csv").read_text().splitlines()
    assert lines[2] == f"{trial},1,b,0,,,,,,"
    assert lines[3] == f"{trial},1,c,4,0.0,,0.0,,0.0,"
    assert status.test_lines(record)[2] == "  lowest recall: c 0.0000 (4 images), a 0.8333 (6 images)"


def test_matrices_are_read_as_they_were_written(folder: Path) -> None:
    names = ("a,b", 'quoted "c"', " d ", "日本", "$e_1$", "predicted")
    counts = np.arange(36).reshape(6, 6)
    counts[1] = counts[:, 2] = 0
    study = StudyFolder.reopen(folder)
    confusion.write(study, {(3, 0): ConfusionMatrix(names, counts), (3, 1): ConfusionMatrix(names, counts.T)})
    found = confusion.read(study)
    assert [found[3, 0].classes, found[3, 1].classes] == [names, names]
    assert np.array_equal(found[3, 0].counts, counts)
    assert np.array_equal(found[3, 1].counts, counts.T)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "trial,seed\n",
        "trial,seed,true,predicted,images\n0,0,a,b,3\n",
        "trial,seed,true,predicted,images\n0,0,a,a,x\n",
        "trial,seed,true,predicted,images\n0,0,a\n",
        "trial,seed,true,predicted,images\n0,0,a,a,1\n0,1,b,b,1\n",
        'trial,seed,true,predicted,images\n0,0,"a,a,1\n',
        "\udcff",
    ],
)
def test_a_damaged_file_of_matrices_is_named_before_anything_is_trained(folder: Path, text: str) -> None:
    (folder / "confusion.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StudyError, match=r"confusion\.csv: is damaged"):
        evaluate(folder)
    assert not (folder / "test.json").exists()
    assert not (folder / "retrained").exists()
