from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pytest

from hpo import spacefile
from hpo.errors import UnknownName
from hpo.results.rendering import render
from hpo.space import Categorical, SearchSpace
from hpo.spacefile import published

NO_TRAININGS = {"normalization_statistics", "pacs_cartoon_sizes", "squeezenet_top5"}
"""Tables of other things than trainings."""
UNPUBLISHED = {
    "auto_fine_tune",
    "auto_probe",
    "caltech101_resnet18_frozen",
    "caltech101_resnet18_probe",
    "caltech101_squeezenet_probe",
    "collage_mixup",
    "digits_cnn",
    "digits_models",
    "digits_softmax",
    "pacs_cartoon_vit_lora",
    "pacs_cartoon_resnet18_closed_form",
}
"""Spaces for which no numbers are published."""

REFERENCE = pd.DataFrame(
    {
        "model": ["alexnet"] * 3,
        "optimizer": ["sgd", "sgd", "adamw"],
        "lr": [0.01, 0.1, 0.001],
        "momentum": [0.9, 0.9, None],
        "val_accuracy": [0.4, 0.5, 0.6],
        "test_accuracy": [0.41, 0.51, 0.61],
        "note": [None, "doubtful; rounded", "rounded"],
    }
)


def found(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """The table of a study: trials in the order given, the first with the lowest loss."""
    results = {"state": "complete", "val_accuracy": 0.7, "epochs": 30, "stopping_epoch": 9, "seconds": 1.0}
    return pd.DataFrame([{"trial": i, "loss": i / 10, **results, **row} for i, row in enumerate(rows)])


def sides(table: pd.DataFrame, fixed: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    frame = published.side_by_side(table, REFERENCE, {"model": "alexnet"} if fixed is None else fixed)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


# The tables


@pytest.mark.parametrize("name", published.names())
def test_a_table_holds_named_rows_that_differ_and_results_that_can_be(name: str) -> None:
    frame = published.read(name)
    assert len(frame) > 0
    assert frame.columns[-1] == "note"
    assert not frame.duplicated(published.hyperparameters(frame)).any()
    for column in set(published.RESULTS) & set(frame):
        most = 1.0 if column.endswith("accuracy") else 100.0
        assert frame[column].dropna().between(0, most).all()


@pytest.mark.parametrize("name", [name for name in published.names() if name.startswith("caltech101")])
def test_accuracies_on_caltech101_are_counts_of_its_images(name: str) -> None:
    """2,892 images to validate on and 2,893 to test on; the first run was published with two digits only."""
    if name == "caltech101_alexnet_scratch_default":
        pytest.skip("two digits")
    frame = published.read(name)
    for column, n in (("val_accuracy", 2892), ("test_accuracy", 2893)):
        counts = (frame[column] * n).round()
        assert (frame[column] - counts / n).abs().max() < 0.000051


def test_an_empty_cell_is_missing_and_the_word_none_is_not() -> None:
    assert published.read("caltech101_resnet50_bohb")["momentum"].isna().sum() == 4
    assert (published.read("pacs_cartoon_resnet18")["augmentation"] == "none").sum() == 6


def test_an_unknown_table_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'lp_vs_lpft'"):
        published.read("lp_vs_lp")


# Side by side


def test_a_published_row_stands_beside_the_trial_with_the_same_hyperparameters() -> None:
    first, second, third = sides(found({"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "test_accuracy": 0.5}))
    assert [row["source"] for row in (first, second, third)] == ["published", "both", "published"]
    assert (second["val_accuracy published"], second["val_accuracy found"], second["trial"]) == (0.5, 0.7, 0)
    assert second["test_accuracy difference"] == pytest.approx(-0.01)
    assert first["val_accuracy found"] is first["trial"] is first["test_accuracy difference"] is None


def test_numbers_match_by_value_and_not_by_their_digits() -> None:
    rows = found({"optimizer": "sgd", "lr": 0.1 * (1 + 1e-12), "momentum": 0.9})
    assert sides(rows)[1]["trial"] == 0
    rows["lr"] = 0.1 * (1 + 1e-6)
    assert sides(rows)[1]["trial"] is None


def test_truth_values_match_as_such() -> None:
    reference = pd.DataFrame({"train_head": [True, False], "val_accuracy": [0.8, 0.4], "note": [None, None]})
    frame = published.side_by_side(found({"train_head": False}), reference, {})
    assert list(frame["source"]) == ["published", "both"]


def test_a_column_that_is_fixed_in_the_space_is_matched_by_its_fixed_value() -> None:
    trial = found({"optimizer": "sgd", "lr": 0.1})
    assert sides(trial, {"model": "alexnet", "momentum": 0.9})[1]["trial"] == 0
    assert sides(trial, {"model": "alexnet", "momentum": 0.5})[1]["trial"] is None
    assert sides(trial, {"model": "vgg16", "momentum": 0.9})[1]["trial"] is None


def test_a_column_that_the_study_knows_nothing_of_does_not_keep_rows_apart() -> None:
    assert sides(found({"optimizer": "sgd", "lr": 0.1}), {})[1]["trial"] == 0


def test_what_was_not_published_matches_any_value_but_not_the_other_way_round() -> None:
    rows = found(
        {"optimizer": "adamw", "lr": 0.001, "momentum": None}, {"optimizer": "sgd", "lr": 0.1, "momentum": None}
    )
    assert [row["trial"] for row in sides(rows)[:3]] == [None, None, 0]


def test_of_several_trials_the_one_with_the_lowest_loss_stands_in_the_row_and_the_others_nowhere() -> None:
    same = {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9}
    rows = found({**same, "loss": 0.3}, {**same, "loss": 0.2}, {**same, "loss": None})
    assert [row["trial"] for row in sides(rows)] == [None, 1, None]


def test_a_trial_without_a_loss_stands_nowhere() -> None:
    crashed = found({"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "loss": None}, {"lr": 7.0, "loss": None})
    assert [row["source"] for row in sides(crashed)] == ["published"] * 3


def test_the_five_best_other_trials_follow_with_empty_published_columns() -> None:
    rows = [{"optimizer": "nag", "lr": 0.5 + i, "momentum": 0.9, "val_loss": 1.0} for i in range(7)]
    others = sides(found(*rows))[3:]
    assert [row["trial"] for row in others] == [0, 1, 2, 3, 4]
    assert {row["source"] for row in others} == {"found"}
    assert {row["model"] for row in others} == {"alexnet"}
    assert {row["val_accuracy published"] for row in others} == {None}
    assert {row["val_loss found"] for row in others} == {1.0}


def test_published_and_found_are_neighbours_and_hyperparameters_stand_once() -> None:
    frame = published.side_by_side(found({"lr": 0.1, "patience": 5}), REFERENCE, {"model": "alexnet"})
    names = [
        "source",
        "model",
        "optimizer",
        "lr",
        "momentum",
        "patience",
        "val_accuracy published",
        "val_accuracy found",
    ]
    tests = ["test_accuracy published", "test_accuracy found", "test_accuracy difference"]
    assert list(frame) == [*names, *tests, "stopping_epoch found", "trial", "epochs", "note"]


def test_a_study_without_trials_leaves_the_published_rows() -> None:
    empty = found({"lr": 1.0}).iloc[:0]
    assert [row["source"] for row in sides(empty)] == ["published"] * 3
    frame = published.side_by_side(empty, REFERENCE, {})
    assert "null" not in render(frame, "md")
    assert "null" not in render(frame, "csv")


def test_a_condensed_table_tells_below_it_what_all_rows_share_and_what_the_notes_are() -> None:
    table, lines = published.condensed(published.side_by_side(found({"lr": 0.1}), REFERENCE, {"model": "alexnet"}))
    assert "model" not in table
    assert table["note"].notna().tolist() == [False, True, True]
    assert list(table["note"][1:]) == ["1, 2", "2"]
    assert '""' not in render(table, "md")
    assert lines == ["In every row: model alexnet.", "", "1. doubtful", "2. rounded"]


# The bundled spaces and their tables

BUNDLED = sorted(spacefile.bundled())
TRAININGS = [name for name in published.names() if name not in NO_TRAININGS]


@functools.cache
def space_named(name: str) -> SearchSpace:
    return spacefile.read(spacefile.bundled()[name])


def spaces_of(table: str) -> list[SearchSpace]:
    return [space for name in BUNDLED if (space := space_named(name)).reference == table]


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_space_names_its_table_or_is_one_without_published_numbers(name: str) -> None:
    table = space_named(name).reference
    assert table in TRAININGS or (table is None and name in UNPUBLISHED)


@pytest.mark.parametrize("name", TRAININGS)
def test_each_published_row_lies_in_a_space_that_names_its_table(name: str) -> None:
    for row in rows_of(name):
        assert any(lies_in(row, space) for space in spaces_of(name)), row


@pytest.mark.parametrize("name", BUNDLED)
def test_a_space_holds_at_least_one_row_of_its_table(name: str) -> None:
    space = space_named(name)
    if space.reference is not None:
        assert any(lies_in(row, space) for row in rows_of(space.reference))


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    frame = published.read(name)
    for row in frame[published.hyperparameters(frame)].to_dict("records"):
        yield {str(key): value for key, value in row.items() if not pd.isna(value)}


def lies_in(row: Mapping[str, Any], space: SearchSpace) -> bool:
    """Whether a trial of the space can have all hyperparameters of a published row that the space knows."""
    dataset = space.task.dataset
    shared = {**space.fixed, "regime": space.task.regime, "model": space.task.model}
    shared |= {"dataset": dataset.name, **dataset.options} if dataset else {}
    for key, value in row.items():
        if key in space.domains:
            if not space.domains[key].contains(value):
                return False
        elif key in shared and not Categorical((shared[key],)).contains(value):
            return False
    when = {
        parent: allowed for key in row if key in space.domains for parent, allowed in space.domains[key].when.items()
    }
    return all(row.get(parent) in allowed for parent, allowed in when.items())
