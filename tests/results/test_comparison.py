from __future__ import annotations

import pandas as pd
import pytest

from hpo import results
from hpo.record import StudyFolder
from hpo.results import comparison, tables
from hpo.space import Categorical, DatasetSpec, Fidelity, SearchSpace, Task
from hpo.spacefile import published


def test_a_comparison_sets_published_numbers_beside_those_found(published: StudyFolder) -> None:
    frame = comparison.compare(published, tables.table(published))
    assert frame is not None
    assert list(frame["source"]) == ["both", "found"]
    assert list(frame["trial"]) == [0, 1]
    assert (frame["val_loss published"][0], frame["val_loss found"][0]) == (4.54, 4.25)
    assert list(frame["dataset"]) == ["caltech101"] * 2


@pytest.mark.parametrize(("variant", "row"), [("full", 2), ("few_shot", 5)])
def test_what_all_trials_share_tells_published_rows_apart(variant: str, row: int) -> None:
    data = DatasetSpec("pacs", {"domain": "cartoon", "variant": variant})
    task = Task("fine_tune", "resnet18", dataset=data)
    space = SearchSpace("p", {"lr": Categorical((1e-3, 3e-3))}, Fidelity(9), task, {"augmentation": "none"})
    found = pd.DataFrame({"trial": [0, 1], "lr": [1e-3, 3e-3], "loss": [0.1, 0.2], "epochs": [9, 9]})
    frame = published.side_by_side(found, published.read("pacs_cartoon_resnet18"), comparison.shared_values(space))
    assert list(frame.index[frame["source"] == "both"]) == [row]


def test_a_study_folder_gets_the_comparison_as_csv_and_as_a_page(published: StudyFolder) -> None:
    results.write_tables(published)
    assert list(pd.read_csv(published.folder / "comparison.csv")["val_loss found"]) == [4.25, 1 / 3]
    page = (published.folder / "comparison.md").read_text()
    assert page.startswith("# p: published (caltech101_alexnet_scratch_default) and found\n\n| source ")
    assert " 0.3333 " in page
    assert "nan" not in page.lower()
    assert "<NA>" not in page
    assert page.endswith("\n\n1. two digits only\n")
    shared = (
        "dataset caltech101, model alexnet, regime from_scratch, optimizer sgd, momentum 0.9, step_size 20, gamma 0.1"
    )
    assert f"\n\nIn every row: {shared}.\n\n" in page


def test_every_format_renders_a_comparison(published: StudyFolder) -> None:
    frame = comparison.compare(published, tables.table(published))
    assert frame is not None
    for format in results.FORMATS:
        text = results.render(frame, format)
        assert "val_loss published" in text.replace("\\_", "_")
        assert "nan" not in text.lower()
        assert "<NA>" not in text


def test_a_space_without_published_numbers_has_no_comparison(study: StudyFolder) -> None:
    assert comparison.compare(study, tables.table(study)) is None
    results.write_tables(study)
    assert not (study.folder / "comparison.csv").exists()
