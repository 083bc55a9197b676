"""The test (floor 4): re-train the best of a study, and look at held-out data. No other file looks there.

Two protocols. `retrain`: each of the best configurations is trained anew to its stopping epoch, once for
each seed, and tested; the spread over seeds says how much of the result is luck. `checkpoint`: the
weights that the search kept of the best epoch are tested as they are.

Each look at the test set is counted in `test.json` before it is taken, and never forgotten: whoever
chooses by test results has no test set any more.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import export, plugins
from hpo.errors import Mistake, StudyError, nearest
from hpo.history import State, Trial
from hpo.runners import _slots
from hpo.study import Study, lock, write_text
from hpo.worker import Build, Job, Worker, best_checkpoint, objective, trial_seed

if TYPE_CHECKING:
    from trainables.splits import Part

PROTOCOLS = ("retrain", "checkpoint")


@dataclass(frozen=True)
class Look:
    """One trained model, on validation and on held-out data."""

    trial: int
    seed: int
    validation: dict[str, float]
    held_out: dict[str, float]
    """`loss` and `accuracy`."""


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

    Raises StudyError for a study that is still searched, or was left before its budget was spent.
    """
    if protocol not in PROTOCOLS:
        raise Mistake(f"unknown protocol {protocol!r}{nearest(protocol, PROTOCOLS)}")
    if top < 1 or seeds < 1:
        raise Mistake(f"--top {top} --seeds {seeds}: each must be at least 1")
    if protocol == "checkpoint" and seeds > 1:
        raise Mistake("--protocol checkpoint tests the weights of the search as they are: it has no seeds")
    Study.reopen(folder)
    with lock(folder):
        study = Study.reopen(folder)
        trials = _best(study, top)
        worker = Worker(Job(study.space, study.settings.seed, study.data, trainable), study.checkpoints, _device(study))
        held_out = _held_out(study)
        content = _content(study)
        for trial in trials:
            looks = []
            for model, seed, validation in _models(study, worker, trial, seeds, protocol):
                content["looks"] += 1
                _write(study, content)
                look = Look(trial.number, seed, validation, dict(model.evaluate(held_out)))
                looks.append(look)
                if watch is not None:
                    watch(look)
            others = [old for old in content["results"] if old["trial"] != trial.number]
            content["results"] = [*others, _result(trial, looks, protocol)]
            _write(study, content)
        export.write_tables(study)
    return content


def _best(study: Study, top: int) -> list[Trial]:
    ledger = study.ledger(write=False)
    try:
        finished, history = ledger.finished, ledger.history
    finally:
        ledger.close()
    if finished is None:
        raise StudyError(
            f"study {study.name!r} is not searched to its end, and a look at held-out data would be too early: "
            f"`hpo resume {study.name}` goes on, `hpo resume {study.name} --time 0` ends it here"
        )
    ranked = history.ranked()
    if not ranked:
        raise StudyError(f"study {study.name!r} has no trial with a finite loss: there is nothing to test")
    return ranked[:top]


def _device(study: Study) -> str:
    return _slots.here(study.settings.devices)


def _held_out(study: Study) -> Part:
    from trainables import heldout

    name = study.space.task.dataset
    if name is None:
        raise Mistake(f"study {study.name!r} has no `task.dataset`, so hpo knows of no held-out data to test on")
    return heldout.held_out(plugins.load("trainables.datasets", name).build(study.data))


def _models(
    study: Study, worker: Worker, trial: Trial, seeds: int, protocol: str
) -> Iterator[tuple[Any, int, dict[str, float]]]:
    """The trained models of one trial, each with its seed and its metrics on validation."""
    best = trial.best
    assert best is not None
    config = {**study.space.fixed, **trial.config}
    if protocol == "checkpoint":
        from trainables import checkpoints

        path = best_checkpoint(study.checkpoints, trial.number)
        saved = checkpoints.read(path) if trial.state is State.COMPLETE else None
        if saved is None:
            raise Mistake(
                f"trial {trial.number} has no checkpoint any more (kept are those of complete trials): "
                "use --protocol retrain"
            )
        model = worker.build(config, trial_seed(study.settings.seed, trial.number))
        model.load_state_dict(saved["state"])
        yield model, study.settings.seed, dict(best.metrics)
        return
    for seed in range(seeds):
        model = worker.build(config, trial_seed(study.settings.seed + 1 + seed, trial.number))
        metrics: dict[str, float] = {}
        for _ in range(best.fidelity):
            metrics = {key: float(value) for key, value in model.step().items()}
        objective(study.space.objective, metrics)
        yield model, seed, metrics


def _result(trial: Trial, looks: list[Look], protocol: str) -> dict[str, Any]:
    best = trial.best
    assert best is not None
    return {
        "trial": trial.number,
        "config": dict(trial.config),
        "protocol": protocol,
        "stopping_epoch": best.fidelity,
        "searched_loss": best.loss,
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


def _content(study: Study) -> dict[str, Any]:
    path = study.folder / "test.json"
    if not path.exists():
        return {"study": study.name, "looks": 0, "results": []}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["looks"], int) or not isinstance(content["results"], list):
            raise TypeError("looks or results")
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None
    return content


def _write(study: Study, content: dict[str, Any]) -> None:
    write_text(study.folder / "test.json", json.dumps(content, indent=2) + "\n")
