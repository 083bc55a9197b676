"""How long learning rate schedules are: in a search, in a retraining, and in studies of earlier versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpo.heldout.retraining import retrain, stopping_epoch
from hpo.loop import begin, resume
from hpo.record import Budget, StudyFolder
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Categorical
from hpo.training import Builder, Job
from hpo.training.checkpoints import best_checkpoint
from tests.heldout.studies import SETTINGS
from trainables.training import checkpoints

N_STEPS = 2
"""Steps in an epoch of the 1,150 images of digits that train."""


def space(high: int = 4, regime: str = "from_scratch", **fixed: Any) -> SearchSpace:
    task = Task(regime, "softmax_regression", dataset=DatasetSpec("digits"))
    fixed = {"batch_size": 600, "optimizer": "sgd", "schedule": "wsd", "cooldown_share": 1.0, **fixed}
    return SearchSpace("schedules", {"lr": Categorical((0.1, 0.2))}, Fidelity(high), task, fixed)


def fall(n_epochs: int, epoch: int, *, n_steps: int = N_STEPS) -> float:
    """The factor in the last step of an epoch, from 1, of a line that falls over so many epochs."""
    return 1 - (n_steps * epoch - 1) / (n_steps * n_epochs)


def rate(checkpoint: Path) -> float:
    """The learning rate of the last step before a checkpoint."""
    saved = checkpoints.read(checkpoint)
    assert saved is not None
    (group,) = saved["state"]["optimizer"]["param_groups"]
    found: float = group["lr"]
    return found


def rates(trainable: Any, n: int) -> Iterator[float]:
    for _ in range(n):
        trainable.step()
        yield trainable.state_dict()["optimizer"]["param_groups"][0]["lr"]


def test_a_schedule_ends_with_the_high_of_the_fidelity_or_the_epochs_that_the_space_gives() -> None:
    for given, n_epochs in ((space(), 4), (space(schedule_epochs=9), 9)):
        trainable = Builder(Job(given, 0, Path()), "cpu").build({**given.fixed, "lr": 1.0}, 0)
        assert list(rates(trainable, 2)) == pytest.approx([fall(n_epochs, 1), fall(n_epochs, 2)])


def test_training_code_of_the_user_gets_no_hyperparameter_that_the_space_has_not() -> None:
    seen: list[Any] = []

    class Own:
        def __init__(self, config: Any) -> None:
            seen.append(dict(config))

        def step(self) -> dict[str, float]:
            return {}

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

    Builder(Job(space(), 0, Path(), Own, regime_defaults={"schedule_interval": "epoch"}), "cpu").build({"lr": 0.1}, 0)
    assert seen == [{"lr": 0.1}]


@pytest.mark.slow
def test_a_trial_that_is_trained_again_has_the_rates_of_the_search(tmp_path: Path) -> None:
    begin(tmp_path / "s", space(), SETTINGS, Budget(trials=1))
    study = StudyFolder.reopen(tmp_path / "s")
    (trial,) = study.history()[0].ranked()
    # Retraining ends at an epoch before the last one, as if the validation loss had been lowest there.
    early = replace(trial, reports=trial.reports[:3])
    job = Job(study.space, 0, study.data)
    (model,) = retrain(study, job, [early], 1)
    searched = best_checkpoint(study.checkpoints, trial.number)
    assert rate(searched) == pytest.approx(0.1 * fall(4, stopping_epoch(trial)))
    assert rate(model.checkpoint) == pytest.approx(0.1 * fall(4, stopping_epoch(early)))
    (refit,) = retrain(study, replace(job, refits=True), [early], 1)
    factor = fall(4, stopping_epoch(early), n_steps=3)  # the images of both parts fill one more batch
    assert rate(refit.checkpoint) == pytest.approx(0.1 * factor)


@pytest.mark.slow
def test_a_study_of_an_earlier_version_goes_on_with_rates_that_change_once_an_epoch(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    searched = space(schedule="cosine", period=4, warmup=1)
    for folder in (old, new):
        begin(folder, searched, SETTINGS, Budget(trials=1))
    content = yaml.safe_load((old / "study.yaml").read_text())
    assert content["made"].pop("training") == 2
    (old / "study.yaml").write_text(yaml.safe_dump(content))
    for folder in (old, new):
        resume(folder, Budget(trials=2))
    studies = [StudyFolder.reopen(folder) for folder in (old, new)]
    assert "training" not in studies[0].made
    epochs = [stopping_epoch(study.history()[0].trials[1]) for study in studies]
    found = [rate(best_checkpoint(study.checkpoints, 1)) for study in studies]
    assert epochs == [4, 4]
    # Two epochs after the warm-up of one epoch, of four: at its beginning, and in its last step.
    assert found == pytest.approx([0.2 * 0.5, 0.2 * 0.30865828], abs=1e-6)
