"""The trained models of a test (floor 4): the best configurations trained anew, or the weights that the search kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hpo import plugins
from hpo.builder import Job, trial_seed
from hpo.checkpoints import best_checkpoint, checkpoint, recover
from hpo.errors import HpoError, Mistake
from hpo.folder import RETRAINED
from hpo.history import State, Trial
from hpo.runners._runner import Runner
from hpo.space import Fidelity
from hpo.study import Study
from hpo.trial import Crash, Decision, Report, Suggestion

MAX_SEEDS = 1000
ENDS = ("patience", "window")
"""What makes a trial end itself; a re-training goes to the stopping epoch."""
RETRAIN_SEED = 2**31
"""Added to the study's seed, so that no re-training repeats the draws of the search."""


@dataclass(frozen=True)
class Trained:
    """A trained model, as the checkpoint that holds it."""

    trial: Trial
    seed: int
    """Under which it stands in `test.json`."""
    drawn: int
    """The seed that its trainable was built with: what is random and frozen is in no checkpoint."""
    checkpoint: Path | None
    """None where the training diverged before its first epoch ended."""
    validation: Mapping[str, float]
    first: bool
    """Whether it is the first seed of the best trial, whose mistakes are kept."""


def kept(study: Study, trials: list[Trial]) -> Iterator[Trained]:
    """The weights that the search kept; a Mistake names a trial that has none."""
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
        drawn = trial_seed(seed, trial.number)
        yield Trained(trial, seed, drawn, path, trial.best.metrics, first=trial is trials[0])


def retrained(study: Study, job: Job, trials: list[Trial], seeds: int) -> Iterator[Trained]:
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
                    drawn = trial_seed(again.seed, number)
                    yield Trained(trial, seed, drawn, path, metrics, first=trial is trials[0] and seed == 0)
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
