"""The space of the page on schedules, and what the page says of its rates."""

from __future__ import annotations

import re
from pathlib import Path

from torch import nn

from hpo import spacefile
from trainables.training import optimizers, schedules

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")


def test_the_space_shown_is_read_and_each_of_its_schedules_ends_with_the_fidelity(tmp_path: Path) -> None:
    shown = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    (tmp_path / "shown.yaml").write_text(shown[1])
    space = spacefile.read(tmp_path / "shown.yaml")
    for name in getattr(space.domains["schedule"], "choices", ()):
        config = {**space.fixed, "lr": 1.0, "schedule": name, "schedule_epochs": space.fidelity.high}
        optimizer = optimizers.build([nn.Parameter()], config)
        schedule = schedules.build(optimizer, config)
        factors: list[float] = []
        for _ in range(space.fidelity.high):
            factors += schedule.factors(10)
            schedule.end_epoch()
        assert max(factors) == 1
        assert factors[-1] < 0.02


def test_the_page_names_each_schedule_and_each_key_of_schedules() -> None:
    for key in (*schedules.HYPERPARAMETERS, *schedules.HYPERPARAMETERS["schedule"]):
        assert f"`{key}`" in PAGE or f"`{key}: " in PAGE, key
