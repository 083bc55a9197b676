"""The table of `hpo rank`: it fits the width, and has the columns of its other formats."""

from __future__ import annotations

import csv
import io

import pytest

from hpo.cli.ranking_output import print_ranking
from hpo.space import Validation
from hpo.training.ranking import RankedModel, Ranking


def ranking(*models: str) -> Ranking:
    found = tuple(
        RankedModel(name, 0.898 - i / 100, 0.88, 0.91, i == 0, 0.1873, (0.02, 0.1835), 22_100_000, 1024, (224, 224))
        for i, name in enumerate(models)
    )
    return Ranking(found, {}, 2108, None, 7, Validation(fraction=None, folds=5))


LONG = ranking("timm:vit_small_patch16_224", "timm:vit_base_patch16_224")


@pytest.mark.parametrize("found", [LONG, ranking("resnet18", "squeezenet")], ids=["long names", "short names"])
def test_the_table_fits_80_columns_and_says_what_it_leaves_out(
    found: Ranking, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_ranking(found, "table")
    header, first, *others = capsys.readouterr().out.splitlines()
    assert max(map(len, [header, first, *others])) <= 80
    assert first.split()[:5] == [found.models[0].model, "0.8980", "0.8800", "0.9100", "yes"]
    assert {"accuracy", "low", "high", "as_good", "logme", "ms_per_image"} <= {*header.split()}
    (note,) = (line for line in others if line.startswith("Too wide for the table: "))
    assert "image_size" in note
    assert not {"image_size", *note.replace(",", "").split()} & {*header.split()}


def test_the_table_in_a_pipe_has_the_columns_of_csv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_ranking(LONG, "table")
    header = capsys.readouterr().out.splitlines()[0].split()
    print_ranking(LONG, "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert header == list(rows[0])
    assert float(rows[0]["ms_per_image"]) == pytest.approx(183.5)
    assert rows[0]["parameters"] == "22100000"
