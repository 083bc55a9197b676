"""The code on validation predictions runs as printed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.docs.test_pages import block, run, type_hpo


def test_the_validation_predictions_are_read_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--space", "digits_softmax", "--backend", "random", "--runner", "inline", "--trials", "4"]
    type_hpo("search", *words, "--set", "fidelity.high=2")
    best = pd.read_csv(tmp_path / "studies" / "digits_softmax-random-0" / "trials.csv").sort_values("val_loss")[:3]
    capsys.readouterr()
    run(block("docs/search.md", "## Validation predictions"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [int(trial) for trial, _ in lines] == best["trial"].tolist()
    assert [float(accuracy) for _, accuracy in lines] == pytest.approx(best["val_accuracy"].tolist())
