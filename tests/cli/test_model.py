"""The command that writes the model of a study."""

from __future__ import annotations

from pathlib import Path

import hpo as package
from tests.cli.commands import Hpo

SPACE = """
task: {regime: from_scratch, model: softmax_regression, dataset: digits}
space: {lr: {choices: [0.01]}}
fidelity: {high: 2}
"""


def test_a_tested_study_gives_a_model_folder_that_loads(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text(SPACE)
    words = ("--space", "digits.yaml", "--backend", "grid", "--runner", "inline", "--study", "s", "--quiet")
    assert hpo("search", *words).exit_code == 0
    assert hpo("test", "s").exit_code == 0
    result = hpo("model", "s", "--out", "m")
    assert result.exit_code == 0, result.output
    assert "trial 0, seed 0: trained on train, 2 epochs on 1150 images" in result.output
    assert "held-out data looked at 1 time" in result.output
    assert "The model:  m\nHow to use it:  m/README.md" in result.output
    assert package.load_model(tmp_path / "m").classes == tuple("0123456789")
    for wrong, message in (
        (("s", "--out", "m"), "hpo: m: holds a model already: name a new folder, or give --overwrite to replace it"),
        (("s", "--out", "n", "--train-on", "val"), "hpo: unknown part 'val' to train on"),
        (("t", "--out", "n"), "hpo: no study 't' in "),
        (("s", "--out", "n", "--soup"), "hpo: study 's' has no soup: `hpo soup s`"),
    ):
        result = hpo("model", *wrong)
        assert (result.exit_code, result.output.startswith(message)) == (2, True), result.output
    assert not (tmp_path / "n").exists()
    result = hpo("soup", "s")
    assert (result.exit_code, "trains from random weights" in result.output) == (2, True), result.output
