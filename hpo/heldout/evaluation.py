"""The test (floor 4): re-train the best of a study, and look at held-out data. No other file looks there.

Two protocols. `retrain`: each of the best configurations is trained anew to its stopping epoch, once for
each seed, on the slots of the search, and tested; the spread over seeds says how much of the result is
luck. `checkpoint`: the weights that the search kept of the best epoch are tested as they are.

Each look at the test set is counted in `test.json` before it is taken, and never forgotten: whoever
chooses by test results has no test set any more. A test that is cut short goes on from its checkpoints.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import cache, export
from hpo.builder import Build, Builder, Job
from hpo.errors import MachineError, Mistake, StudyError, nearest
from hpo.folder import MISCLASSIFIED, RETRAINED, command, lock, write_text
from hpo.history import Trial
from hpo.retraining import MAX_SEEDS, Trained, kept, retrained, stopping_epoch
from hpo.runners import _slots
from hpo.study import Study
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.splits import Part
    from trainables.trainable import Trainable

PROTOCOLS = ("retrain", "checkpoint")


@dataclass(frozen=True)
class Look:
    """One trained model, on validation and on held-out data."""

    trial: int
    seed: int
    validation: Mapping[str, float]
    held_out: Mapping[str, float]
    """`loss` and `accuracy`; NaN where there was no model to test."""


def evaluate(
    folder: Path,
    *,
    top: int = 1,
    seeds: int = 1,
    protocol: str = "retrain",
    trainable: Build | None = None,
    watch: Callable[[Look], None] | None = None,
) -> dict[str, Any]:
    """Test the `top` best trials over `seeds` seeds each; write and return the content of `test.json`.

    The result of a trial takes the place of the one before. Raises StudyError for a study that is still searched, or
    was left before its budget was spent, and a Mistake where a test of fewer seeds would replace one of more.
    """
    if protocol not in PROTOCOLS:
        raise Mistake(f"unknown protocol {protocol!r}{nearest(protocol, PROTOCOLS)}")
    if top < 1 or not 1 <= seeds <= MAX_SEEDS:
        raise Mistake(f"--top {top} --seeds {seeds}: each must be at least 1, the seeds at most {MAX_SEEDS}")
    if protocol == "checkpoint" and seeds > 1:
        raise Mistake("--protocol checkpoint tests the weights of the search as they are: it has no seeds")
    Study.reopen(folder)
    cache.check()
    with lock(folder):
        study = Study.reopen(folder)
        trials = _best(study, top)
        _check_seeds(export.tested(study), trials, seeds, protocol)
        job = Job(study.space, study.settings.seed, study.data, trainable)
        examiner = _Examiner(study, job, trials[0])
        trained = kept(study, trials) if protocol == "checkpoint" else retrained(study, job, trials, seeds)
        looks: dict[int, list[Look]] = {trial.number: [] for trial in trials}
        for model in trained:
            look = examiner.look(model)
            looks[look.trial].append(look)
            if watch is not None:
                watch(look)
        content = examiner.content
        for trial in trials:
            others = [old for old in content["results"] if old["trial"] != trial.number]
            content["results"] = [*others, _result(trial, looks[trial.number], protocol)]
        examiner.write()
        shutil.rmtree(study.folder / RETRAINED, ignore_errors=True)
        export.write_tables(study)
    return content


def _check_seeds(content: Mapping[str, Any], trials: Sequence[Trial], seeds: int, protocol: str) -> None:
    numbers = {trial.number for trial in trials}
    for result in content["results"]:
        n = len(result.get("seeds", ()))
        if result.get("trial") in numbers and result.get("protocol") == protocol and n > seeds:
            raise Mistake(
                f"trial {result['trial']} is tested with {n} seeds already, which a test with {seeds} would replace: "
                f"`hpo best` shows its result, --seeds {n} or more tests again"
            )


class _Examiner:
    """Looks at the held-out part, and counts each look before it is taken."""

    def __init__(self, study: Study, job: Job, trial: Trial) -> None:
        """Read the held-out part; a Mistake where there is none, or where `trial`'s trainable has no `evaluate`."""
        self.content = export.tested(study)
        self._study = study
        self._fixed = job.space.fixed
        self._builder = Builder(job, _slots.here(study.settings.devices))
        if job.space.task.dataset is None:
            raise Mistake(f"study {study.name!r} has no `task.dataset`, so hpo knows of no held-out data to test on")
        self._held_out: Part | None = None
        self._read_for: Config = {}
        if not hasattr(self._build(trial, 0), "evaluate"):
            raise Mistake(
                f"the trainable of study {study.name!r} has no method `evaluate(part)` that returns its "
                "loss and accuracy, so it cannot be tested"
            )

    def look(self, trained: Trained) -> Look:
        """Load a trained model, and evaluate it on the held-out part."""
        from trainables import checkpoints

        saved = checkpoints.read(trained.checkpoint) if trained.checkpoint else None
        held_out: Mapping[str, float] = {"loss": math.nan, "accuracy": math.nan}
        if saved is not None:
            model = self._build(trained.trial, trained.drawn)
            model.load_state_dict(saved["state"])
            self.content["looks"] += 1
            self.write()
            held_out = model.evaluate(self._part(trained.trial))
            if trained.first:
                self._keep_mistakes(trained, model)
        return Look(trained.trial.number, trained.seed, trained.validation, held_out)

    def write(self) -> None:
        """Write `test.json`."""
        write_text(self._study.folder / "test.json", json.dumps(self.content, indent=2) + "\n")

    def _keep_mistakes(self, trained: Trained, model: Trainable) -> None:
        """Write `misclassified.npz`, so that a figure needs no look of its own; nothing without `predict(part)`."""
        import numpy as np

        from trainables import inspection, replacing

        data = self._builder.search_data({**self._fixed, **trained.trial.config})[0]
        assert data is not None, "a task with held-out data has a data set"
        found = inspection.mistakes(model, self._part(trained.trial), data.classes)
        if found is None:
            return
        found |= {"trial": np.array(trained.trial.number), "seed": np.array(trained.seed)}
        path = self._study.folder / MISCLASSIFIED

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **found)

        try:
            replacing.replace(path, save)
        except OSError as error:
            raise MachineError(f"{path}: cannot be written: {error}") from None

    def _part(self, trial: Trial) -> Part:
        """The held-out part in the form of a trial's model; read anew only where the form may be another."""
        from trainables import heldout

        if self._held_out is None or trial.config != self._read_for:
            self._held_out = self._builder.held_out(heldout.held_out, {**self._fixed, **trial.config})
            self._read_for = trial.config
        return self._held_out

    def _build(self, trial: Trial, seed: int) -> Trainable:
        return self._builder.build({**self._fixed, **trial.config}, seed)


def _best(study: Study, top: int) -> list[Trial]:
    history, finished = study.history()
    if finished is None:
        raise StudyError(
            f"study {study.name!r} is not searched to its end, and a look at held-out data would be too early: "
            f"`{command('resume', study.folder)}` goes on, `{command('resume', study.folder, '--time 0')}` ends it here"
        )
    ranked = history.ranked()
    if not ranked:
        raise StudyError(f"study {study.name!r} has no trial with a finite loss: there is nothing to test")
    return ranked[:top]


def _result(trial: Trial, looks: list[Look], protocol: str) -> dict[str, Any]:
    looks = sorted(looks, key=lambda look: look.seed)
    return {
        "trial": trial.number,
        "config": dict(trial.config),
        "protocol": protocol,
        "stopping_epoch": stopping_epoch(trial),
        "searched_loss": trial.loss,
        "seeds": [look.seed for look in looks],
        "val_loss": _spread([look.validation.get("val_loss", math.nan) for look in looks]),
        "val_accuracy": _spread([look.validation.get("val_accuracy", math.nan) for look in looks]),
        "test_loss": _spread([look.held_out["loss"] for look in looks]),
        "test_accuracy": _spread([look.held_out["accuracy"] for look in looks]),
    }


def _spread(values: list[float]) -> dict[str, Any]:
    """Mean and sample standard deviation (None of one value), and the values themselves; None for NaN and inf."""
    finite = all(math.isfinite(value) for value in values)
    return {
        "mean": statistics.fmean(values) if finite else None,
        "std": statistics.stdev(values) if finite and len(values) > 1 else None,
        "values": [value if math.isfinite(value) else None for value in values],
    }
