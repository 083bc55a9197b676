"""What is said about a written model."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from hpo.final_model import about
from trainables.inference import calibration


@pytest.mark.parametrize(
    ("scale", "shown"),
    [(1e6, "20.000 (the highest that is allowed)"), (1e-6, "0.050 (the lowest that is allowed)"), (2.0, "1.820")],
)
def test_a_temperature_at_its_bound_is_said_to_be_there(scale: float, shown: str) -> None:
    logits = torch.tensor([[1.0, 0.0]] * 8) * scale
    found = calibration.fit(logits, torch.tensor([0] * 6 + [1] * 2))
    told = {
        "study": {"name": "s", "trial": 1, "objective": "val_loss"},
        "training": {"epochs": 1, "images": 8, "seed": 0, "trained_on": "train"},
        "results": {"of_trained_on": {"validation": "train", "test": "train"}, "validation": {}, "test": None},
        "calibration": asdict(found),
    }
    (line,) = (line for line in about.lines(told) if line.startswith("temperature "))
    assert line.startswith(f"temperature {shown}: ")
