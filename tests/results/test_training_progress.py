"""Progress of the trainings of a test, in a terminal and elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from hpo.heldout import ModelResult, RetrainedEpoch
from hpo.results.training_progress import TrainingProgress


def shown(progress: TrainingProgress) -> list[str]:
    console = Console(width=100, record=True, file=io.StringIO(), color_system=None)
    console.print(progress._render())
    return [line.rstrip() for line in console.export_text().splitlines() if line.strip()]


def test_a_terminal_shows_the_epoch_of_each_training_until_its_model_is_tested() -> None:
    file = io.StringIO()
    with TrainingProgress(Console(file=file, force_terminal=True, width=100, color_system=None)) as progress:
        progress(RetrainedEpoch(3, 0, 1, 3, 0, 12))
        progress(RetrainedEpoch(3, 1, 2, 3, 0, 12))
        progress(RetrainedEpoch(3, 0, 1, 3, 4, 12))
        assert shown(progress) == [
            "training trial 3, seed 0 (1 of 3), epoch 4/12",
            "training trial 3, seed 1 (2 of 3), epoch 0/12",
        ]
        progress.end(ModelResult(3, 0, {}, {}))
        assert shown(progress) == ["training trial 3, seed 1 (2 of 3), epoch 0/12"]
    assert "training trial 3, seed 1 (2 of 3), epoch 0/12" in file.getvalue()


def test_elsewhere_each_training_has_one_line_when_it_starts() -> None:
    file = io.StringIO()
    with TrainingProgress(Console(file=file, width=20)) as progress:
        for epoch in range(3):
            progress(RetrainedEpoch(3, 0, 1, 2, epoch, 2))
        progress(RetrainedEpoch(5, 0, 2, 2, 0, 1))
    assert file.getvalue().splitlines() == [
        "training trial 3, seed 0 (1 of 2), 2 epochs",
        "training trial 5, seed 0 (2 of 2), 1 epoch",
    ]


def test_a_single_training_is_not_numbered() -> None:
    file = io.StringIO()
    with TrainingProgress(Console(file=file)) as progress:
        progress(RetrainedEpoch(3, 0, 1, 1, 0, 2))
    assert file.getvalue() == "training trial 3, seed 0, 2 epochs\n"
