"""The models that a test evaluates: retrained from the best configurations, or loaded from the search's checkpoints."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpo import plugins
from hpo.devices import slots_for
from hpo.errors import HpoError, MachineError, UserError
from hpo.heldout import study_data
from hpo.heldout.protocols import CHECKPOINT, REFIT, RETRAIN
from hpo.heldout.retrained_config import retrained_config, without_early_stopping
from hpo.record import (
    REFITTED,
    RETRAINED,
    State,
    StudyFolder,
    Trial,
    better_report,
    changed_versions,
    versions,
    write_text,
)
from hpo.runners._runner import Runner
from hpo.space import Fidelity
from hpo.training.builder import SCHEDULE_EPOCHS, Job, trial_seed
from hpo.training.checkpoints import best_checkpoint, checkpoint, discard, names_file, prepare
from hpo.trial import Crash, Decision, Report, Suggestion

MAX_SEEDS = 1000
"""The largest number of seeds. A retraining has the number `trial * MAX_SEEDS + seed`, which is unique."""
RETRAIN_SEED_OFFSET = 2**31
"""Added to the study's seed, so that retraining does not repeat the random numbers of the search."""
ORIGIN_FILE = "origin.json"
"""The file beside the checkpoints of a running test that says what they were trained on and by which packages."""


@dataclass(frozen=True)
class ModelToTest:
    """A trained model to test: retrained, or loaded from a checkpoint of the search."""

    trial: Trial
    seed: int
    """The seed that `test.json` shows."""
    protocol: str
    """`retrain`, `refit` or `checkpoint`."""
    build_seed: int
    """The seed that its trainable was built with. Frozen random weights, which no checkpoint holds, follow from it."""
    checkpoint: Path
    """There is no such file if the training diverged in its first epoch."""
    validation: Mapping[str, float]
    """The validation metrics of the epoch that the checkpoint holds."""
    is_first: bool
    """Whether this is the first seed of the best trial. The misclassified images of this model are saved."""


@dataclass(frozen=True)
class RetrainedEpoch:
    """How far the training of a model to test is."""

    trial: int
    seed: int
    number: int
    """The number of the training, from 1 to `n_trainings`."""
    n_trainings: int
    """The number of trainings that this test needs."""
    epoch: int
    """The last epoch that is trained, 0 when the training starts."""
    n_epochs: int
    """The number of epochs of the training. One that diverges ends before."""


def load_from_search(
    study: StudyFolder, trials: list[Trial], done: Collection[tuple[int, int]] = ()
) -> Iterator[ModelToTest]:
    """Yield the model that the search saved at the best epoch of each trial.

    Those in `done`, which holds numbers of trials with their seeds, are left out. Raises a UserError
    if a trial has no checkpoint.
    """
    prepare(study.checkpoints)
    seed = study.settings.seed
    missing = [trial for trial in trials if (trial.number, seed) not in done]
    for trial in missing:
        path = best_checkpoint(study.checkpoints, trial.number)
        if trial.state is not State.COMPLETE or not path.exists():
            raise UserError(
                f"trial {trial.number} has no checkpoint any more (kept are those of complete trials): "
                "use the protocol retrain"
            )
    for trial in missing:
        assert trial.best is not None
        path = best_checkpoint(study.checkpoints, trial.number)
        build_seed = trial_seed(seed, trial.number)
        yield ModelToTest(trial, seed, CHECKPOINT, build_seed, path, trial.best.metrics, is_first=trial is trials[0])


def retrain(
    study: StudyFolder,
    job: Job,
    trials: list[Trial],
    seeds: int,
    done: Collection[tuple[int, int]] = (),
    watch: Callable[[RetrainedEpoch], None] | None = None,
) -> Iterator[ModelToTest]:
    """Train each trial with each seed up to its stopping epoch, and yield each model when it is ready.

    A job that refits trains on the training and the validation part. The validation metrics of such a model are those
    of the search, because it has seen the validation images.

    Those in `done`, which holds numbers of trials with their seeds, are left out. An interrupted test is continued
    from its checkpoints if they were trained on the same files, by the same packages. `watch` is called when a training
    starts and after each of its epochs.

    The trainings use the runner, devices and slots of the search. With fewer trainings than cores, each gets several
    cores, unless the number of slots is given. Each training is a suggestion without early stopping.
    """
    folder, settings = _checkpoint_folder(study, job), study.settings
    wanted = [(trial, seed) for trial in trials for seed in range(seeds) if (trial.number, seed) not in done]
    pending = {trial.number * MAX_SEEDS + seed: (trial, seed) for trial, seed in wanted}
    say = _announcement(wanted, watch)
    running: dict[int, tuple[Trial, int]] = {}
    best_reports: dict[int, Report] = {}
    module = plugins.load(plugins.RUNNERS, settings.runner)
    slots = settings.given_slots
    if slots is None and getattr(module, "DIVIDES_CORES", False) and trials:
        slots = slots_for(settings.devices, len(trials) * seeds)
    runner: Runner = module.build(_retraining_job(study, job, trials), folder, devices=settings.devices, slots=slots)
    try:
        while pending or running:
            while pending and runner.free():
                number = next(iter(pending))
                trial, seed = running[number] = pending.pop(number)
                config = retrained_config(job.space, trial, refits=job.refits)
                runner.start(Suggestion(number, config, until=stopping_epoch(trial)), after=0)
                say(trial, seed, 0)
            for event in runner.events():
                number, (trial, seed) = event.trial, running[event.trial]
                if isinstance(event, Crash):
                    raise HpoError(
                        f"trial {trial.number} crashed when it was trained again, seed {seed}: {event.error}"
                    )
                say(trial, seed, event.fidelity)
                best_reports[number] = better_report(job.space.metric, event, best_reports.get(number))
                ended = event.last or event.fidelity == stopping_epoch(trial)
                runner.settle(number, Decision.PAUSE if ended else Decision.CONTINUE)
                if ended:
                    del running[number]
                    path, metrics = _final_checkpoint(folder, event, best_reports[number])
                    protocol = REFIT if job.refits else RETRAIN
                    if job.refits:
                        metrics = _searched_metrics(trial, diverged=event.last)
                    is_first = trial is trials[0] and seed == 0
                    build_seed = retraining_seed(study, trial, seed)
                    yield ModelToTest(trial, seed, protocol, build_seed, path, metrics, is_first=is_first)
    finally:
        runner.close()


def _retraining_job(study: StudyFolder, job: Job, trials: Sequence[Trial]) -> Job:
    """The job of a study, to train the best of its trials again.

    `fidelity.high` lies above all stopping epochs: a trial that reaches it would keep only its best checkpoint, and
    a paused one keeps its last. A learning rate schedule still runs to the `fidelity.high` of the study.
    """
    high = 1 + max(stopping_epoch(trial) for trial in trials)
    fixed = without_early_stopping(job.space.fixed, refits=job.refits)
    space = replace(job.space, fixed=fixed, fidelity=Fidelity(high))
    defaults = {SCHEDULE_EPOCHS: job.space.fidelity.high, **job.regime_defaults}
    return replace(job, space=space, seed=study.settings.seed + RETRAIN_SEED_OFFSET, regime_defaults=defaults)


def _announcement(
    wanted: list[tuple[Trial, int]], watch: Callable[[RetrainedEpoch], None] | None
) -> Callable[[Trial, int, int], None]:
    """A function that tells `watch` how far one of the `wanted` trainings is: its trial, seed and last epoch."""
    numbers = {(trial.number, seed): number for number, (trial, seed) in enumerate(wanted, 1)}

    def say(trial: Trial, seed: int, epoch: int) -> None:
        if watch is not None:
            number = numbers[trial.number, seed]
            watch(RetrainedEpoch(trial.number, seed, number, len(wanted), epoch, stopping_epoch(trial)))

    return say


def begun_retrainings(study: StudyFolder, job: Job, trials: Iterable[Trial]) -> set[int]:
    """Return the numbers of those trials whose retraining with the first seed has checkpoints that it goes on from.

    `job` is that of `retrain`. Raises a MachineError or an OSError if the folder cannot be written or emptied.
    """
    folder = _checkpoint_folder(study, job)
    files = (checkpoint, best_checkpoint, names_file)
    return {trial.number for trial in trials if any(file(folder, trial.number * MAX_SEEDS).exists() for file in files)}


def discard_retrained(study: StudyFolder, models: Iterable[tuple[int, int]], *, refits: bool = False) -> None:
    """Delete the checkpoints of retrained models, which are numbers of trials with their seeds.

    `refits` says that they were trained on the validation part too. Those of other models, which an interrupted test
    left, stay. Raises a MachineError if the disk fails.
    """
    folder = study.folder / (REFITTED if refits else RETRAINED)
    for trial, seed in models:
        discard(folder, trial * MAX_SEEDS + seed)
    if not any(folder.glob("*.pt")):
        shutil.rmtree(folder, ignore_errors=True)


def _checkpoint_folder(study: StudyFolder, job: Job) -> Path:
    """The folder of the retrained checkpoints. It is emptied if they were trained on other files or by other packages.

    Raises a MachineError or an OSError if it cannot be written or emptied.
    """
    folder = study.folder / (REFITTED if job.refits else RETRAINED)
    data, path = study_data.digest(job.manifest), folder / ORIGIN_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        is_known = found["data"] == data and not changed_versions(found["versions"])
    except (OSError, ValueError, KeyError, TypeError):
        is_known = False
    if not is_known:
        try:
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            raise MachineError(f"{folder}: cannot be emptied: {error.strerror or error}") from None
        prepare(folder)
        write_text(path, json.dumps({"data": data, "versions": versions()}, indent=2) + "\n")
    return folder


def _final_checkpoint(folder: Path, final: Report, best: Report) -> tuple[Path, Mapping[str, float]]:
    """The checkpoint and the metrics of the final epoch, or those of the best epoch if the training diverged."""
    diverged = final.last  # without early stopping, a training ends itself only if it diverges
    if diverged:
        return best_checkpoint(folder, final.trial), best.metrics
    return checkpoint(folder, final.trial), final.metrics


def _searched_metrics(trial: Trial, *, diverged: bool) -> Mapping[str, float]:
    """The validation metrics of a refit: those of the search. They are NaN if the refit diverged."""
    assert trial.best is not None, "only trials with a finite loss are ranked"
    return {name: math.nan if diverged else value for name, value in trial.best.metrics.items()}


def retraining_seed(study: StudyFolder, trial: Trial, seed: int = 0) -> int:
    """The seed that the trainable of a retraining is built with. `seed` is the one that `test.json` shows."""
    return trial_seed(study.settings.seed + RETRAIN_SEED_OFFSET, trial.number * MAX_SEEDS + seed)


def stopping_epoch(trial: Trial) -> int:
    """The epoch of a trial's lowest loss. Retraining ends at this epoch."""
    assert trial.best is not None, "only trials with a finite loss are ranked"
    return trial.best.fidelity
