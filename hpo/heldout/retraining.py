"""The models of a test: the best configurations trained again, or the checkpoints of the search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hpo import plugins
from hpo.errors import HpoError, Mistake
from hpo.record import RETRAINED, State, StudyFolder, Trial
from hpo.runners._runner import Runner
from hpo.space import Fidelity
from hpo.training.builder import Job, trial_seed
from hpo.training.checkpoints import best_checkpoint, checkpoint, recover
from hpo.trial import Crash, Decision, Report, Suggestion

MAX_SEEDS = 1000
ENDS = ("patience", "window")
"""What makes a trial end itself; a re-training goes to the stopping epoch."""
RETRAIN_SEED = 2**31
"""Added to the study's seed, so that no re-training repeats the draws of the search."""


@dataclass(frozen=True)
class RetrainedModel:
    """A trained model, as the checkpoint that holds it."""

    trial: Trial
    seed: int
    """Under which it stands in `test.json`."""
    build_seed: int
    """The seed that its trainable was built with. Weights that are random and frozen follow from it."""
    checkpoint: Path | None
    """None where the training diverged before its first epoch ended."""
    validation: Mapping[str, float]
    is_first: bool
    """Whether it is the first seed of the best trial, whose misclassified images are kept."""


def from_search(study: StudyFolder, trials: list[Trial]) -> Iterator[RetrainedModel]:
    """The checkpoints that the search kept; a Mistake names a trial without one."""
    recover(study.checkpoints)
    for trial in trials:
        path = best_checkpoint(study.checkpoints, trial.number)
        if trial.state is not State.COMPLETE or not path.exists():
            raise Mistake(
                f"trial {trial.number} has no checkpoint any more (kept are those of complete trials): "
                "use --protocol retrain"
            )
    for trial in trials:
        assert trial.best is not None
        path = best_checkpoint(study.checkpoints, trial.number)
        seed = study.settings.seed
        build_seed = trial_seed(seed, trial.number)
        yield RetrainedModel(trial, seed, build_seed, path, trial.best.metrics, is_first=trial is trials[0])


def retrain(study: StudyFolder, job: Job, trials: list[Trial], seeds: int) -> Iterator[RetrainedModel]:
    """Train each trial with each seed to its stopping epoch, on as many slots as the search has.

    Each training is a suggestion to a runner of its own, without patience, and below the top rung, so
    that it ends at its `until` and keeps its checkpoint.
    """
    high = 1 + max(stopping_epoch(trial) for trial in trials)
    fixed = {key: value for key, value in job.space.fixed.items() if key not in ENDS}
    space = replace(job.space, fixed=fixed, fidelity=Fidelity(high))
    folder = study.folder / RETRAINED
    settings = study.settings
    build = plugins.load("hpo.runners", settings.runner).build
    waiting = {trial.number * MAX_SEEDS + seed: (trial, seed) for trial in trials for seed in range(seeds)}
    running: dict[int, tuple[Trial, int]] = {}
    best: dict[int, Report] = {}
    again = replace(job, space=space, seed=settings.seed + RETRAIN_SEED)
    runner: Runner = build(again, folder, devices=settings.devices, slots=settings.slots)
    try:
        while waiting or running:
            while waiting and runner.free():
                number = next(iter(waiting))
                trial, seed = running[number] = waiting.pop(number)
                config = {key: value for key, value in trial.config.items() if key not in ENDS}
                runner.start(Suggestion(number, config, until=stopping_epoch(trial)), after=0)
            for event in runner.events():
                number, (trial, seed) = event.trial, running[event.trial]
                if isinstance(event, Crash):
                    raise HpoError(
                        f"trial {trial.number} crashed when it was trained again, seed {seed}: {event.error}"
                    )
                known = best.get(number)
                if known is None or event.loss < known.loss or _phase(event) != _phase(known):
                    best[number] = event
                over = event.last or event.fidelity == stopping_epoch(trial)
                runner.settle(number, Decision.PAUSE if over else Decision.CONTINUE)
                if over:
                    del running[number]
                    path, metrics = _ended(folder, event, best.get(number))
                    build_seed = trial_seed(again.seed, number)
                    is_first = trial is trials[0] and seed == 0
                    yield RetrainedModel(trial, seed, build_seed, path, metrics, is_first=is_first)
    finally:
        runner.close()


def _phase(report: Report) -> float | None:
    return report.metrics.get("phases_left")


def _ended(folder: Path, last: Report, best: Report | None) -> tuple[Path | None, Mapping[str, float]]:
    """The checkpoint and the metrics of the last epoch; of a training that diverged, those of its best epoch."""
    if not last.last:
        return checkpoint(folder, last.trial), last.metrics
    if best is None:
        return None, last.metrics
    return best_checkpoint(folder, last.trial), best.metrics


def stopping_epoch(trial: Trial) -> int:
    """The epoch of its least loss, to which a trial is trained again."""
    assert trial.best is not None, "only trials with a finite loss are ranked"
    return trial.best.fidelity
