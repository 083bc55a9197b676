"""The other sides of the search of a linear probe: Optuna, Ray Tune and HpBandSter over the usual script.

Each trains every configuration of the same grid. Optuna's and Ray's trials report every epoch and ask
whether to go on, but the pruner and ASHA are set so that they never stop one: the sides shall do the same work.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import usual
from benchmarks.report import cores
from hpo.space import Fidelity

ETA = 3


@dataclass(frozen=True)
class Search:
    """What every side searches."""

    root: Path
    """The images and weights, laid out by `benchmarks/photos.py`."""
    image_size: int
    lrs: tuple[float, ...]
    decays: tuple[float, ...]
    epochs: int

    @property
    def configurations(self) -> list[tuple[float, float]]:
        """Each learning rate with each weight decay."""
        return list(product(self.lrs, self.decays))


class Spent(NamedTuple):
    """What a search took."""

    seconds: float
    """Seconds from the first trial to the end of the last, without imports."""
    epochs: int
    """Epochs trained, over all trials."""
    loss: float
    """The lowest validation loss."""


def optuna(search: Search) -> Spent:
    """As Optuna's tutorial on pruning has it: an objective that builds, trains, reports and may be pruned."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    n_epochs = 0

    def objective(trial: Any) -> float:
        nonlocal n_epochs
        lr = trial.suggest_float("lr", 1e-5, 1.0, log=True)
        decay = trial.suggest_float("weight_decay", 1e-8, 1.0, log=True)
        loss = float("inf")
        losses = usual.probe(search.root, search.image_size, lr, decay, search.epochs, workers=cores())
        for epoch, loss in enumerate(losses):
            n_epochs += 1
            trial.report(loss, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    grid = optuna.samplers.GridSampler({"lr": list(search.lrs), "weight_decay": list(search.decays)}, seed=0)
    study = optuna.create_study(sampler=grid, pruner=optuna.pruners.NopPruner())
    started = time.perf_counter()
    study.optimize(objective, n_trials=len(search.configurations))
    return Spent(time.perf_counter() - started, n_epochs, study.best_value)


def ray_tune(search: Search) -> Spent:
    """As Ray's guide for PyTorch has it: a function that reports, a core a trial, ASHA, and `tune.Tuner`."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0", "RAY_DEDUP_LOGS": "0"}
    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    warnings.simplefilter("ignore")
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    def train(config: dict[str, float]) -> None:
        lr, decay = config["lr"], config["weight_decay"]
        for loss in usual.probe(search.root, search.image_size, lr, decay, search.epochs, workers=1):
            tune.report({"loss": loss})

    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder:
        ray.init(num_cpus=cores(), include_dashboard=False, _temp_dir=folder, logging_level="ERROR")
        try:
            tuner = tune.Tuner(
                tune.with_resources(train, {"cpu": 1}),
                param_space={"lr": tune.grid_search(search.lrs), "weight_decay": tune.grid_search(search.decays)},
                tune_config=tune.TuneConfig(
                    metric="loss",
                    mode="min",
                    scheduler=ASHAScheduler(max_t=search.epochs, grace_period=search.epochs, reduction_factor=ETA),
                ),
                run_config=tune.RunConfig(storage_path=f"{folder}/results", verbose=0),
            )
            started = time.perf_counter()
            results = tuner.fit()
            seconds = time.perf_counter() - started
        finally:
            ray.shutdown()
    assert not results.errors, results.errors
    metrics = [result.metrics for result in results]
    return Spent(seconds, sum(each["training_iteration"] for each in metrics), min(each["loss"] for each in metrics))


def bracket(n: int, epochs: int) -> list[tuple[int, int]]:
    """How many of `n` configurations HpBandSter trains for how many epochs, rung by rung."""
    return [(max(1, n // ETA**k), rung) for k, rung in enumerate(Fidelity(epochs, eta=ETA).rungs())]


def hpbandster(search: Search) -> Spent:
    """A HpBandSter worker, whose `compute` trains a configuration for a budget of epochs, from the first one on.

    Its server does not run beside numpy 2: one bracket of its successive halving calls the worker directly.
    """
    from hpbandster.core.dispatcher import Job
    from hpbandster.optimizers.iterations import SuccessiveHalving

    logging.disable(logging.CRITICAL)
    worker, losses, n_epochs = _worker(search), [], 0
    remaining = iter(search.configurations)

    def next_configuration(budget: float) -> tuple[dict[str, float], dict[str, object]]:
        lr, decay = next(remaining)
        return {"lr": lr, "weight_decay": decay}, {}

    rungs = bracket(len(search.configurations), search.epochs)
    halving = SuccessiveHalving(0, [n for n, _ in rungs], [rung for _, rung in rungs], next_configuration)
    started = time.perf_counter()
    while run := halving.get_next_run():  # it promotes by itself where a rung is complete
        key, config, budget = run
        job = Job(key, config=config, budget=budget)
        job.result = worker(key, config, budget, None)
        losses.append(job.result["loss"])
        n_epochs += int(budget)
        halving.register_result(job)
    return Spent(time.perf_counter() - started, n_epochs, min(losses))


def _worker(search: Search) -> Callable[..., dict[str, Any]]:
    """The `compute` of a worker as the examples of HpBandSter write it."""
    from hpbandster.core.worker import Worker

    class Probe(Worker):  # type: ignore[misc]
        """Trains the last layer."""

        def compute(
            self, config_id: object, config: dict[str, float], budget: float, working_directory: object
        ) -> dict[str, Any]:
            lr, decay = config["lr"], config["weight_decay"]
            *_, loss = usual.probe(search.root, search.image_size, lr, decay, int(budget), workers=cores())
            return {"loss": loss, "info": None}

    compute: Callable[..., dict[str, Any]] = Probe("probe", logger=logging.getLogger("probe")).compute
    return compute
