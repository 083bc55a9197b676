from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.record import Budget, Settings, StudyFolder
from hpo.record.files import DATA_FILE
from hpo.results import comparison_text
from hpo.results.study_comparison import compare_studies, frame
from hpo.results.study_differences import Difference, RepeatedChoice, images_key
from hpo.space import DatasetSpec, Fidelity, Float, SearchSpace, Task
from hpo.trial import Report, Suggestion
from tests.results.kept_predictions import kept_study

N = 400
LABELS = np.arange(N) % 2


def study(
    folder: Path, right: NDArray[np.bool_], *, objective: str = "val_error", labels: NDArray[np.int64] | None = LABELS
) -> Path:
    """A study of one trial of two epochs, which classifies the images in `right` correctly."""
    folder.mkdir()
    space = SearchSpace("two classes", {"x": Float(0, 1)}, Fidelity(2), Task("tests.toy"), objective=objective)
    made = StudyFolder(folder, space, Settings(runner="inline"), Budget(trials=1))
    ledger = made.begin()
    ledger.suggest(Suggestion(0, {"x": 0.5}, until=2))
    error = 1 - float(right.mean())
    for epoch, value in ((1, 0.75), (2, error)):
        ledger.record(Report(0, epoch, value, {"val_error": value, "val_loss": value}, 1.0))
    ledger.close()
    if labels is not None:
        predicted = np.where(right, labels, 1 - labels)
        logits = np.stack([-5.0 * predicted, -5.0 * (1 - predicted)], axis=1).astype(np.float16)
        made.predictions.mkdir()
        np.savez(made.predictions / "targets.npz", labels=labels, folds=np.zeros(N, np.int64))
        np.savez(made.predictions / "0.npz", epoch=2, logits=logits)
    return folder


def wrong(*where: int) -> NDArray[np.bool_]:
    """All images right but those of these numbers, each taken as 10 images."""
    right = np.ones(N, np.bool_)
    for place in where:
        right[10 * place : 10 * place + 10] = False
    return right


def test_a_small_difference_on_the_same_images_is_known_well(tmp_path: Path) -> None:
    folders = [study(tmp_path / "a", wrong(0, 1, 2, 3)), study(tmp_path / "b", wrong(0, 1, 2, 3, 4))]
    (found,) = compare_studies(folders).differences
    assert found.is_paired
    assert abs(found.value - 0.025) < 1e-9
    assert 0 < found.low < 0.025 < found.high
    assert "a is lower than b by 0.0250" in found.words
    assert "on the same validation images" in found.words


def test_the_same_difference_on_different_images_is_not(tmp_path: Path) -> None:
    other = study(tmp_path / "b", wrong(0, 1, 2, 3, 4), labels=1 - LABELS)
    (found,) = compare_studies([study(tmp_path / "a", wrong(0, 1, 2, 3)), other]).differences
    assert not found.is_paired
    assert found.low < 0 < found.high
    assert "a and b cannot be told apart" in found.words
    assert "on different validation images" in found.words


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says(tmp_path: Path) -> None:
    rng, held = np.random.default_rng(0), 0
    for i in range(40):
        hard = rng.random(N) < 0.2  # images that both get wrong half of the time
        first, second = (~(hard & (rng.random(N) < 0.5)) & (rng.random(N) > p) for p in (0.05, 0.1))
        folders = [study(tmp_path / f"{name}{i}", right) for name, right in (("a", first), ("b", second))]
        (found,) = compare_studies(folders).differences
        held += found.low <= 0.9 * 0.05 <= found.high
    assert held >= 35


def test_the_better_study_is_named_first_whatever_the_order(tmp_path: Path) -> None:
    folders = [study(tmp_path / "worse", wrong(*range(10))), study(tmp_path / "better", wrong(0))]
    (found,) = compare_studies(folders).differences
    assert found.value < 0
    assert found.words.startswith("better is lower than worse by 0.2250, 95 % interval 0.1")


def test_few_images_that_differ_do_not_tell_two_studies_apart(tmp_path: Path) -> None:
    better, worse = np.ones(N, np.bool_), np.ones(N, np.bool_)
    worse[:4] = False
    (found,) = compare_studies([study(tmp_path / "a", better), study(tmp_path / "b", worse)]).differences
    assert found.low < 0 < found.high


@pytest.mark.parametrize("damage", ["removed", "damaged"])
def test_images_that_cannot_be_read_are_never_the_same(tmp_path: Path, damage: str) -> None:
    """Both studies name a data set, and their record of it cannot be read."""
    keys = []
    for name in ("a", "b"):
        space = SearchSpace("images", {"x": Float(0, 1)}, Fidelity(2), Task("tests.toy", dataset=DatasetSpec("digits")))
        folder = tmp_path / name
        folder.mkdir()
        made = StudyFolder(folder, space, Settings(), Budget(trials=1))
        if damage == "damaged":
            (folder / DATA_FILE).write_bytes(b"no record")
        keys.append(images_key(made))
    assert keys == [None, None]


def test_studies_are_compared_only_with_those_of_the_same_objective(tmp_path: Path) -> None:
    folders = [
        study(tmp_path / "a", wrong(0)),
        study(tmp_path / "b", wrong(1), objective="val_loss"),
        study(tmp_path / "c", wrong(2)),
    ]
    found = compare_studies(folders)
    assert [(group.objective, len(group.studies)) for group in found.groups] == [("val_error", 2), ("val_loss", 1)]
    assert [(each.first, each.second) for each in found.differences] == [("a", "c")]
    same = "only those of the same objective are compared."
    assert found.notes[0] == f"The studies minimise different objectives: {same}"
    assert not any("objective is" in note for note in found.notes)
    assert frame(found)["best_after_common_epochs"].isna().tolist() == [False, True, False]
    heads = [line for line in comparison_text.lines(found, None) if line.startswith("study")]
    assert ["best val_error  after 2 epochs" in heads[0], "best val_loss  test" in heads[1], len(heads)] == [
        True,
        True,
        2,
    ]


def test_functions_of_one_name_in_different_files_are_different_objectives(tmp_path: Path) -> None:
    folders = [study(tmp_path / name, wrong(0), objective=f"{name}:cost") for name in ("one", "two")]
    found = compare_studies(folders)
    assert [group.objective for group in found.groups] == ["val_cost (one:cost)", "val_cost (two:cost)"]
    assert found.notes[0] == "The studies minimise different objectives: they are not compared."


def test_without_predictions_the_reason_is_given(tmp_path: Path) -> None:
    found = compare_studies([study(tmp_path / "a", wrong(0)), study(tmp_path / "b", wrong(1), labels=None)])
    assert found.differences == []
    assert any("study 'b': no validation predictions were kept" in note for note in found.notes)


def test_the_epochs_to_the_value_that_all_reached_are_counted(tmp_path: Path) -> None:
    table = frame(compare_studies([study(tmp_path / "a", wrong(0)), study(tmp_path / "b", wrong(*range(30)))]))
    assert table["epochs_to_common_value"].tolist() == [1, 1]
    assert table["best_after_common_epochs"].tolist() == pytest.approx([0.025, 0.75])
    table = frame(compare_studies([tmp_path / "a", study(tmp_path / "c", wrong(*range(20)))]))
    assert table["epochs_to_common_value"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("keeps", "sentences"),
    [
        ((True, True), ["The luck of being the best trial, at its best epoch, is taken off these differences."]),
        (
            (False, False),
            [
                "The luck of being the best trial is taken off these differences.",
                "The luck of the best epoch is not taken off.",
            ],
        ),
        (
            (True, False),
            [
                "The luck of being the best trial is taken off these differences.",
                "The luck of the best epoch is taken off only in part: in a, not in b.",
                "It stays in b and not in a, so b looks better than it is.",
            ],
        ),
    ],
)
def test_the_text_says_which_luck_is_taken_off(tmp_path: Path, keeps: tuple[bool, bool], sentences: list[str]) -> None:
    pairs = zip(("a", "b"), keeps, strict=True)
    folders = [kept_study(tmp_path / name, [1.5, 1.4], 60, epochs=3, keeps_epochs=each).folder for name, each in pairs]
    text = [line for line in comparison_text.sentences(compare_studies(folders)) if "luck" in line or "stays" in line]
    assert [line.removesuffix(" The values of the table still hold it.") for line in text] == sentences


def test_the_text_counts_the_trials_whose_epochs_are_missing(tmp_path: Path) -> None:
    studies = [kept_study(tmp_path / name, [1.5, 1.4, 1.3], 60, epochs=3) for name in ("a", "b")]
    (studies[1].predictions / "2.epochs").unlink()
    text = comparison_text.sentences(compare_studies([each.folder for each in studies]))
    assert "The luck of the best epoch is taken off only in part: in a, in 2 of 3 trials of b." in text
    logits = kept_study(tmp_path / "c", [1.5, 1.4], 60, epochs=3, objective="val_auroc_error")
    other = kept_study(tmp_path / "d", [1.5, 1.4], 60, epochs=3, objective="val_auroc_error")
    text = comparison_text.sentences(compare_studies([logits.folder, other.folder]))
    assert "The luck of the best epoch is not taken off." in text


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (
            0.0,
            -0.01,
            0.01,
            "a and b cannot be told apart: both are the same, 95 % interval of the difference -0.0100 to",
        ),
        (
            -1e-6,
            -0.01,
            0.01,
            "a and b cannot be told apart: both are the same to four decimal places, 95 % interval of",
        ),
        (-1e-6, -2e-6, -1e-7, "b is lower than a by 1e-06, 95 % interval 1e-07 to 2e-06 on the same validation images"),
        (2e-4, -0.01, 0.01, "a and b cannot be told apart: a is lower by 0.0002, 95 % interval -0.0100 to 0.0100 on"),
    ],
)
def test_no_study_is_lower_by_nothing(value: float, low: float, high: float, words: str) -> None:
    choices = RepeatedChoice("a", 2, 2, 100, None), RepeatedChoice("b", 2, 2, 100, None)
    assert Difference("a", "b", value, low, high, 40, True, choices).words.startswith(words)
